"""What is hidden in the documents of recordings."""

import json
from typing import Any

import pytest

from orchestrator.testing.cassettes.secrets import Secrets
from orchestrator.testing.cassettes.streams import in_pieces

SECRETS = Secrets({"DESK_PASSWORD": 'correct "horse"', "HOME": "/home/of-somebody"})
KEY = "sk-abcdefghijklmnop"


def hidden(content: Any) -> Any:
    return json.loads(SECRETS.document(json.dumps(content)))


@pytest.mark.parametrize(
    "content",
    [
        {"credentials": {"value": "abcdefgh"}},
        {"tokens": ["tok123456789"]},
        {"password": ["x12345678", 5]},
        {"client_secret": {"v": "zzzzzzzz"}},
        {"apiKeys": {"a": 1}},
        {"passwords": "x"},
    ],
)
def test_texts_objects_and_lists_under_secret_names_are_hidden(content: dict[str, Any]) -> None:
    assert hidden(content) == dict.fromkeys(content, "***")


def test_counts_and_what_is_no_value_stay() -> None:
    usage = {
        "prompt_tokens": 12,
        "max_tokens": 5,
        "token": None,
        "tokens": 3.5,
        "has_password": True,
        "page_token": "",
    }
    details = {"usage": {**usage, "prompt_tokens_details": {"cached_tokens": 4}}}

    assert hidden(details) == details


def test_json_inside_a_text_is_hidden_at_any_depth() -> None:
    inner = json.dumps({"password": "of-a-field", "note": f"key:\n{KEY}", "count": 2})
    arguments = json.dumps({"body": inner, "user": "a"})

    arguments = hidden({"function": {"arguments": arguments}})["function"]["arguments"]

    found = json.loads(arguments)
    assert json.loads(found["body"]) == {"password": "***", "note": "key:\n***", "count": 2}
    assert found["user"] == "a"


def test_a_value_of_a_variable_is_hidden_however_often_it_is_escaped() -> None:
    text = json.dumps({"arguments": json.dumps({"said": 'correct "horse" it is'})})

    assert json.loads(json.loads(SECRETS.document(text))["arguments"]) == {"said": "*** it is"}


def test_what_is_hidden_is_written_alike_from_then_on() -> None:
    """A client sends back the arguments that it got: the recorded ones, or in a replay those of the recording."""
    got = json.dumps({"arguments": '{"a":1,"password":"of-a-field"}'})

    recorded = SECRETS.document(got)
    replayed = json.dumps({"arguments": '{"a":1,"password":"***"}'})

    assert SECRETS.document(replayed) == recorded == SECRETS.document(recorded)


@pytest.mark.parametrize(
    "text", ['{"a":1,  "b": ["[x]", "{"]}', "[no JSON", '{"a": "{\\"b\\":2}"}', '"\\ud83d"', ""]
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert SECRETS.document(text) == text


def test_half_a_character_beside_a_secret_can_be_written() -> None:
    written = SECRETS.document('{"password": "x", "text": "\\ud83d"}')

    assert json.loads(written.encode()) == {"password": "***", "text": "\ud83d"}


def test_of_a_secret_parameter_of_a_tool_the_schema_stays_and_its_values_go() -> None:
    token = {
        "type": "string",
        "description": "Of the shop.",
        "default": "of-a-field",
        "examples": ["of-a-field"],
    }
    schema = {
        "type": "object",
        "properties": {"token": token, "max_tokens": {"type": "integer", "default": 5}},
    }

    found = hidden({"parameters": schema})["parameters"]["properties"]

    assert found["token"] == {**token, "default": "***", "examples": ["***"]}
    assert found["max_tokens"] == {"type": "integer", "default": 5}


def test_data_that_looks_like_a_schema_is_data() -> None:
    data = {"type": "object", "properties": {"password": {"value": "of-a-field"}}}

    assert hidden(data)["properties"] == {"password": "***"}


def test_texts_that_are_streamed_side_by_side_are_not_joined() -> None:
    """As choices and calls are, by their index."""
    deltas = [(0, "It is sk-abc"), (1, "defghijklmnopq"), (0, "."), (1, ".")]
    documents = [json.dumps({"choices": [{"index": index, "text": text}]}) for index, text in deltas]

    assert in_pieces(documents, SECRETS) is None


def test_an_id_in_every_event_is_hidden_in_each() -> None:
    assert in_pieces([json.dumps({"id": KEY, "text": text}) for text in "abc"], SECRETS) is None
