"""Schemas of strangers that are none, refer to what is none, or take long to read."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from orchestrator_services.json_schemas import (
    LONGEST_REFERENCE,
    InvalidSchemaError,
    mismatches,
    require_schema,
)
from orchestrator_services.models.outputs import Output
from orchestrator_services.schema_patterns import MOST_REPEATED, repeated_length
from orchestrator_services.tool_selector.arguments import Arguments

from orchestrator.sdk import PermanentError, ToolDefinition

Schema = Mapping[str, Any]
ENDLESS = {
    "type": "object",
    "properties": {"text": {"$ref": "#/$defs/x"}},
    "$defs": {"x": {"$ref": "#/$defs/x"}},
}
BOTH = {**ENDLESS, "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}}


@pytest.mark.parametrize("schema", [ENDLESS, BOTH])
def test_a_schema_that_refers_to_itself_is_invalid(schema: Schema) -> None:
    tool = ToolDefinition(name="rec", arguments_schema=json.dumps(schema))

    [problem] = Arguments.of({"text": "a"}, ()).problems(tool)

    assert problem.startswith("the tool's arguments schema is invalid: it refers to itself without end")


@pytest.mark.parametrize("opening", ['{"not":', '{"items":', '{"default":['])
def test_a_schema_that_is_nested_without_end_is_invalid(opening: str) -> None:
    closing = "]}" if opening.endswith("[") else "}"

    with pytest.raises(InvalidSchemaError, match="nested too deeply"):
        require_schema(opening * 20_000 + "{}" + closing * 20_000)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$dynamicRef": "http://127.0.0.1:1/schema.json"},
        {"$id": "http://127.0.0.1:1/", "$ref": "other"},
        {"allOf": [{"$schema": "http://json-schema.org/draft-07/schema", "$ref": "http://127.0.0.1:1/"}]},
        {"const": 5, "$ref": "#/const"},
        {"const": 5, "$ref": "#/const/a"},
        {"const": {"minLength": "x"}, "$ref": "#/const"},
        {"const": {"type": "nothing"}, "$ref": "#/const"},
        {"const": {"pattern": 5}, "$ref": "#/const"},
    ],
)
def test_what_a_schema_refers_to_is_in_it_and_a_schema(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", None)

    with pytest.raises(InvalidSchemaError):
        mismatches(json.dumps(schema), "text")


@pytest.mark.parametrize("keyword", ["$ref", "$id", "$dynamicRef", "$anchor"])
def test_names_in_a_schema_have_a_bound(keyword: str) -> None:
    with pytest.raises(InvalidSchemaError, match=f"at most {LONGEST_REFERENCE} are allowed"):
        require_schema(json.dumps({"items": {keyword: "a" * (LONGEST_REFERENCE + 1)}}))


@pytest.mark.parametrize(
    "patterns",
    [
        ["(?:a{1000}){1000}"],
        ["((a{2,}){2,}){200000}"],
        ["(?x)(?:a{1000}) {1000}"],
        ["a{1000}" * 99, "b{1000}" * 99],
    ],
)
def test_patterns_that_take_long_to_compile_are_none(patterns: list[str]) -> None:
    with pytest.raises(InvalidSchemaError, match=f"more than {MOST_REPEATED} characters"):
        require_schema(json.dumps({"allOf": [{"pattern": pattern} for pattern in patterns]}))


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("abc", 3),
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" * 9, 10_000),
        (r"^\{[({]{100000}\}" + "x" * 0, 10**7),
        ("(ab{1,9})+" * 900, 20_000),
    ],
)
def test_the_length_of_a_pattern_is_what_compiling_it_takes(pattern: str, length: int) -> None:
    assert len(pattern) <= repeated_length(pattern) <= length


@pytest.mark.parametrize("schema", [ENDLESS, BOTH])
def test_an_output_schema_that_refers_to_itself_is_refused(schema: Schema) -> None:
    with pytest.raises(PermanentError, match="the output schema cannot be used"):
        Output(dict(schema)).problems({"text": "a"})
