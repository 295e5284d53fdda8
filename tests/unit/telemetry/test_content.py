"""What models are asked and answer is in spans only where that is wanted, redacted and bounded."""

import json
from typing import Any

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.sdk import ModelContent
from orchestrator.telemetry.content import VARIABLE, Content, captured
from orchestrator.telemetry.redaction import Redaction, secrets_in

PLAIN = Content(Redaction())


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def attributes(*asked: dict[str, Any], content: Content = PLAIN, **more: Any) -> dict[str, Any]:
    """The attributes of these messages, their JSON decoded."""
    found = content.attributes(lambda: ModelContent(input=asked, **more))
    return {name: json.loads(value) if isinstance(value, str) else value for name, value in found.items()}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("", False), ("false", False), ("NO_CONTENT", False), ("true", True), ("SPAN_ONLY", True)],
)
def test_content_is_captured_where_the_variable_says_so(value: str, wanted: bool) -> None:
    assert captured({VARIABLE: value}) == wanted


def test_without_the_variable_nothing_is_captured() -> None:
    assert not captured({})


@pytest.mark.parametrize("value", ["EVENT_ONLY", "yes"])
def test_a_value_that_asks_for_something_else_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{VARIABLE}={value} is not supported: .* set SPAN_ONLY"):
        captured({VARIABLE: value})


def test_attributes_are_messages_as_json() -> None:
    answer = {**said("three", "assistant"), "finish_reason": "stop"}

    assert attributes(said("How many?"), instructions="Be brief.", output=[answer]) == {
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.input.messages": [said("How many?")],
        "gen_ai.output.messages": [answer],
    }


def test_secrets_are_redacted() -> None:
    environment = {"SHOP_API_KEY": "one-of-the-shop", "SHOP": "not-a-secret"}
    content = Content(Redaction(["of-the-settings", *secrets_in(environment)]))
    call = {"type": "tool_call", "name": "open", "arguments": {"password": "of-the-model", "door": "left"}}
    asked = said("one-of-the-shop, of-the-settings, token=of-the-user, sk-of-somebody-else and not-a-secret")

    found = json.dumps(attributes(asked, {"role": "assistant", "parts": [call]}, content=content))

    secrets = ["one-of", "of-the-settings", "of-the-user", "sk-", "of-the-model"]
    assert not [secret for secret in secrets if secret in found]
    assert "not-a-secret" in found
    assert '{"password": "***", "door": "left"}' in found


def test_long_texts_are_cut_and_old_messages_left_out() -> None:
    conversation = [said(f"{number}: {'ä' * 9_000}") for number in range(20)]

    found = attributes(*conversation)

    shown = found["gen_ai.input.messages"]
    texts = [one["parts"][0]["content"] for one in shown]
    assert texts[-1].startswith("19: ä")
    assert texts[-1].endswith("… (9,004 characters)")
    assert len(shown) + found["agents.input.messages_left_out"] == 20
    assert len(json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()) <= 32_768


def test_of_a_message_with_many_parts_each_is_shown() -> None:
    parts = [
        {"type": "tool_call_response", "id": f"call-{number}", "response": "x" * 5_000}
        for number in range(100)
    ]

    (message,) = attributes({"role": "tool", "parts": parts})["gen_ai.input.messages"]

    assert [part["id"] for part in message["parts"]] == [part["id"] for part in parts]


def test_a_request_whose_content_cannot_be_made_is_traced_without_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> ModelContent:
        raise ValueError("with the text of a user")

    assert PLAIN.attributes(broken) == {}
    assert caplog.messages == ["the content of a request to a model is not traced: ValueError"]
