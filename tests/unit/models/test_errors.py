"""Errors of models become failures that recovery knows how to handle."""

import asyncio
import logging
from typing import Any

import pytest
from orchestrator_services.models import Asked, Says, scripted_model
from orchestrator_services.models.errors import failed, report_refused, without_secrets
from pydantic_ai import exceptions as client
from pydantic_ai.exceptions import FallbackExceptionGroup, ModelHTTPError

from orchestrator.messages.types import ModelPolicy
from orchestrator.sdk import HandlerError, PermanentError, TransientError
from tests.unit.models.support import NUMBER, Talk

pytestmark = pytest.mark.usefixtures("each_way")

NAMES = {"gpt-x": "openai:gpt-x", "other": "house"}


def http(category: Any, status: int, message: str = "", **fields: Any) -> ModelHTTPError:
    body = {"error": {"message": message}} if message else None
    return ModelHTTPError.for_category(category, status_code=status, model_name="gpt-x", body=body, **fields)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (http(client.ModelRateLimitError, 429), TransientError, "rate_limited"),
        (http(client.ModelOverloadedError, 529), TransientError, "overloaded"),
        (http(client.ModelUnavailableError, 503), TransientError, "model_unavailable"),
        (http(client.ModelServerError, 500), TransientError, "model_unavailable"),
        (client.ModelConnectionError("gpt-x", "reset"), TransientError, "model_unavailable"),
        (client.ModelTimeoutError("gpt-x", "slow"), TransientError, "model_unavailable"),
        (client.ModelRequestTimeout("gpt-x", 3.0), TransientError, "model_timeout"),
        (client.ModelAPIError("gpt-x", "?"), TransientError, "response_unusable"),
        (client.UnexpectedModelBehavior("not JSON", "<html>"), TransientError, "response_unusable"),
        (http(client.ModelContextWindowExceededError, 400), PermanentError, "context_too_long"),
        (client.ContentFilterError("refused"), PermanentError, "content_refused"),
        (http(client.ModelAuthenticationError, 401), PermanentError, "bad_credentials"),
        (http(client.ModelNotFoundError, 404), PermanentError, "unknown_model"),
        (http(client.ModelQuotaExceededError, 402), PermanentError, "quota_exceeded"),
        (http(client.ModelRequestRejectedError, 400), PermanentError, "request_rejected"),
        (http(None, 418), PermanentError, "request_rejected"),
        (http(None, 409), TransientError, "response_unusable"),
        (TimeoutError(), TransientError, "model_unavailable"),
        (ValueError("broken"), PermanentError, "model_error"),
    ],
)
def test_an_error_of_a_model_has_its_kind(error: Exception, kind: type[HandlerError], code: str) -> None:
    found = failed(error, NAMES)

    assert isinstance(found, kind)
    assert found.code == code
    assert str(found).startswith("openai:gpt-x: ")


def test_an_error_that_says_what_follows_is_not_taken_for_a_lost_connection() -> None:
    """Providers' clients wrap what is raised below them."""
    lost = client.ModelConnectionError("gpt-x", "Connection error.")
    lost.__cause__ = ValueError("wrapped")
    lost.__cause__.__cause__ = refused = PermanentError("not recorded", code="not_recorded")

    assert failed(lost, NAMES) is refused

    lost.__cause__.__cause__ = lost
    assert failed(lost, NAMES).code == "model_unavailable"


@pytest.mark.parametrize("header", [{"retry-after-ms": "1500"}, {"Retry-After": "2"}])
def test_a_wait_that_the_provider_asks_for_is_passed_on(header: dict[str, str]) -> None:
    found = failed(http(client.ModelRateLimitError, 429, headers=header), NAMES)

    assert found.retry_after_ms == (1500 if "retry-after-ms" in header else 2000)
    assert found.failure.retry_after_ms == found.retry_after_ms


def test_what_the_provider_says_is_in_the_message() -> None:
    found = failed(http(client.ModelRequestRejectedError, 400, "temperature must be at most 2"), NAMES)

    assert str(found) == (
        "openai:gpt-x: the provider rejected the request (HTTP 400, temperature must be at most 2)"
    )


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = PermanentError("too much", code="limit_reached")

    assert failed(error, NAMES) is error


def test_refused_credentials_name_the_variable_and_never_the_key() -> None:
    error = http(client.ModelAuthenticationError, 401, "Incorrect API key provided: sk-abc123def")

    found = failed(error, NAMES)

    assert "set OPENAI_API_KEY" in str(found)
    assert "abc123" not in str(found)


def test_refused_credentials_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    report_refused.cache_clear()
    with caplog.at_level(logging.ERROR):
        report_refused("openai:gpt-x")
        report_refused("openai:gpt-x")

    assert [one.getMessage() for one in caplog.records] == [
        "the provider of openai:gpt-x refused the credentials; set OPENAI_API_KEY"
    ]


def test_secrets_are_taken_out() -> None:
    variables = [("HOUSE_TOKEN", "swordfish-9"), ("HOME", "/home/me"), ("SHORT_KEY", "a")]

    text = without_secrets(
        "swordfish-9 of /home/me, sk-live-12345, Bearer abcdefgh, http://me:pw@host/", lambda: variables
    )

    assert text == "*** of /home/me, ***, ***, http://***@host/"


def test_when_all_models_fail_the_turn_may_succeed_later_if_one_of_them_may() -> None:
    errors = [
        http(client.ModelRateLimitError, 429, retry_after=30),
        client.ModelConnectionError("other", "reset", retry_after=5),
        http(client.ModelNotFoundError, 404),
    ]

    found = failed(FallbackExceptionGroup("all failed", errors), NAMES)

    assert isinstance(found, TransientError)
    assert (found.code, found.retry_after_ms) == ("rate_limited", 5000)
    assert "house: the connection to the provider failed" in str(found)


def test_when_no_model_can_answer_the_failure_is_permanent() -> None:
    errors = [http(client.ModelNotFoundError, 404), http(client.ModelRequestRejectedError, 400)]

    found = failed(FallbackExceptionGroup("all failed", errors), NAMES)

    assert isinstance(found, PermanentError)
    assert found.code == "unknown_model"


async def test_what_was_answered_before_an_error_is_counted() -> None:
    talk = Talk(
        Says(output={"n": 0}, tokens_input=10, tokens_output=5),
        client.ModelConnectionError("script", "reset"),
    )

    with pytest.raises(TransientError) as raised:
        await talk.turn("count", output_schema=NUMBER)

    assert raised.value.code == "model_unavailable"
    assert (talk.used.model_requests, talk.used.tokens_input) == (1, 10)
    assert [one.error for one in talk.done] == ["", "ModelConnectionError"]


async def test_a_request_that_is_cancelled_is_reported() -> None:
    talk, sent = Talk(), asyncio.Event()

    @scripted_model("slow")
    async def slow(asked: Asked) -> str:
        sent.set()
        await asyncio.Event().wait()
        return "never"

    talk.world.plugins.add(slow)
    talk.policy = ModelPolicy(name="slow")
    turn = asyncio.ensure_future(talk.turn("count"))
    await sent.wait()
    turn.cancel()

    with pytest.raises(asyncio.CancelledError):
        await turn
    assert [(one.model, one.error) for one in talk.done] == [("slow", "CancelledError")]


@pytest.mark.parametrize("text", ["", "I cannot"])
async def test_a_refused_answer_is_a_failure(text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        await Talk(Says(text=text, finish_reason="content_filter")).turn("count")

    assert raised.value.code == "content_refused"
