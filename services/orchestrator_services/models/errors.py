"""Errors of models, as the failures that recovery knows how to handle."""

import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

from pydantic_ai import exceptions as client

from orchestrator.sdk import (
    FailureKind,
    HandlerError,
    PermanentError,
    TransientError,
    described,
    failure_of,
    readable,
)
from orchestrator.sdk.messages import LONGEST_WAIT_MS

logger: Final = logging.getLogger(__name__)

_SECRET_VARIABLE: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL)", re.IGNORECASE)
_SHORTEST_SECRET: Final = 8
_LONGEST_REASON: Final = 500
_SECRET_TEXT: Final = re.compile(r"\b(sk-|Bearer\s+|key[-_])[A-Za-z0-9*._-]{4,}", re.IGNORECASE)
_REJECTED: Final = frozenset(range(400, 500)) - {408, 409, 425, 429}
"""Statuses of HTTP with which the same request fails again."""
# The first type that fits holds: more special ones come first.
_PERMANENT: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (
        client.ModelContextWindowExceededError,
        "context_too_long",
        "the conversation is too long for the model",
    ),
    (client.ModelAuthenticationError, "bad_credentials", "the provider refused the credentials"),
    (
        client.ModelNotFoundError,
        "unknown_model",
        "the provider does not have this model, or not for this account",
    ),
    (
        client.ModelQuotaExceededError,
        "quota_exceeded",
        "the account's quota or credit at the provider is used up",
    ),
    (client.ModelRequestRejectedError, "request_rejected", "the provider rejected the request"),
    (client.ContentFilterError, "content_refused", "the provider's content filter refused to answer"),
)
_TRANSIENT: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (client.ModelRateLimitError, "rate_limited", "the provider limits the rate of requests"),
    (client.ModelOverloadedError, "overloaded", "the provider is overloaded"),
    (client.ModelUnavailableError, "model_unavailable", "the model is not available at the moment"),
    (client.ModelServerError, "model_unavailable", "the provider failed"),
    (client.ModelConnectionError, "model_unavailable", "the connection to the provider failed"),
    (client.ModelRequestTimeout, "model_timeout", "the model did not respond in time"),
)


def failed(error: Exception, names: Mapping[str, str]) -> HandlerError:
    """The error that a turn raises for an error of its requests.

    `names` has the models that were asked, in their order: the name that agents use by the provider's.
    """
    if (own := _own(error)) is not None:
        return own
    if isinstance(error, client.FallbackExceptionGroup):
        return _all_failed([failed(one, names) for one in error.exceptions])
    model = names.get(getattr(error, "model_name", "")) or next(iter(names.values()))
    for kind, code, text in _PERMANENT:
        if isinstance(error, kind):
            # What the provider says about refused credentials may hold a part of them.
            reason = f": set {variable_of(model)}" if code == "bad_credentials" else _reason(error)
            return PermanentError(f"{model}: {text}{reason}", code=code)
    for kind, code, text in _TRANSIENT:
        if isinstance(error, kind):
            reason = _reason(error)
            return TransientError(f"{model}: {text}{reason}", code=code, retry_after_ms=_wait_ms(error))
    if getattr(error, "status_code", 500) in _REJECTED:
        return PermanentError(
            f"{model}: the provider rejected the request{_reason(error)}", code="request_rejected"
        )
    if isinstance(error, client.ModelAPIError | client.UnexpectedModelBehavior):
        # No category, or a response that cannot be read: a broken stream, a proxy's page.
        text = "the provider's response could not be used"
        return TransientError(f"{model}: {text}{_reason(error)}", code="response_unusable")
    text = f"{model}: {without_secrets(described(error))}"
    if failure_of(error, "model_error").kind is FailureKind.TRANSIENT:
        return TransientError(text, code="model_unavailable")
    return PermanentError(text, code="model_error")


def _own(error: BaseException) -> HandlerError | None:
    """The error, or its cause, that says itself what follows. Providers' clients take whatever is raised below them,
    such as by a recording that has no response, for a connection that broke."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, HandlerError):
            return cause
        seen.append(cause)
        cause = cause.__cause__
    return None


def variable_of(model: str) -> str:
    """The variable of the environment that usually has the credentials for a model."""
    provider = model.partition(":")[0].partition("-")[0]
    return f"{provider.upper()}_API_KEY" if ":" in model else "the credentials of its plug-in"


@cache
def report_refused(model: str) -> None:
    """Logs, once in a process, that a model's credentials are refused: nothing but a person helps."""
    logger.error("the provider of %s refused the credentials; set %s", model, variable_of(model))


def _all_failed(errors: list[HandlerError]) -> HandlerError:
    """Neither the model nor its fallbacks answered. If one may later, so may the turn."""
    text = "; ".join(str(error) for error in errors)
    transient = [error for error in errors if isinstance(error, TransientError)]
    if not transient:
        return PermanentError(text, code=errors[0].code)
    waits = [error.retry_after_ms for error in transient]
    # Without a wait named by one of them, it may be asked at once.
    wait = None if None in waits else min(found for found in waits if found is not None)
    return TransientError(text, code=transient[0].code, retry_after_ms=wait)


def _wait_ms(error: Exception) -> int | None:
    seconds = asked_wait_s(error.retry_after) if isinstance(error, client.ModelAPIError) else None
    return None if seconds is None else round(seconds * 1000)


def asked_wait_s(seconds: float | None) -> float | None:
    """How long a provider asks to wait, at most a day; None for what is no time. The header holds any number."""
    if seconds is None or math.isnan(seconds) or seconds < 0:
        return None
    return min(seconds, LONGEST_WAIT_MS / 1000)


def _reason(error: Exception) -> str:
    """What the provider says about it, without secrets; empty if nothing."""
    said = _said(getattr(error, "body", None))
    status = getattr(error, "status_code", None)
    parts = [f"HTTP {status}" if status else "", without_secrets(said)[:_LONGEST_REASON]]
    text = ", ".join(part for part in parts if part)
    return f" ({text})" if text else ""


def _said(body: Any) -> str:
    """The message in the body of an error; bodies in any other form are not repeated."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        return message if isinstance(message, str) else ""
    return ""


def without_secrets(text: str, variables: Callable[[], Iterable[tuple[str, str]]] = os.environ.items) -> str:
    """The text without values of the environment that are secret by their name, and without what looks like a key."""
    for name, value in variables():
        if len(value) >= _SHORTEST_SECRET and _SECRET_VARIABLE.search(name):
            text = text.replace(value, "***")
    return readable(_SECRET_TEXT.sub("***", text))
