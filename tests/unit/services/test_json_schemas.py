"""Checks of JSON schemas say what jsonschema says, in time that grows with the content and not faster."""

import json
from collections.abc import Callable
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from orchestrator_services.json_schemas import InvalidSchemaError, mismatches
from orchestrator_services.schema_patterns import LONGEST_PATTERN, PATTERNS_S
from orchestrator_services.tool_selector.arguments import Arguments

from orchestrator.sdk.messages import types
from tests.support.pumping import Pump, growth

Content = Any
SCHEMAS: list[dict[str, Any]] = [
    {"uniqueItems": True},
    {"enum": [1, True, "a", None, [1.0], {"a": 1}, {"b": [False]}]},
    {"properties": {"enum": {"enum": ["enum"]}}, "required": ["enum"]},
    {"type": "string", "pattern": "^a+$"},
    {"pattern": "(?=.*b)a"},
    {"patternProperties": {"^a": {"type": "integer"}, "b$": {"type": "string"}}},
    {"patternProperties": {"^a": {}}, "additionalProperties": False},
    {"patternProperties": {"^a": {}}, "properties": {"b": {}}, "additionalProperties": {"type": "integer"}},
    {"properties": {"b": {}}, "additionalProperties": False},
    {"patternProperties": {"^a": {}}, "unevaluatedProperties": False},
    {"allOf": [{"properties": {"a": {"type": "integer"}}}], "unevaluatedProperties": {"type": "string"}},
    {"anyOf": [{"required": ["a"], "patternProperties": {"b": {}}}, {}], "unevaluatedProperties": False},
    {"$defs": {"one": {"properties": {"a": {}}}}, "$ref": "#/$defs/one", "unevaluatedProperties": False},
    {"if": {"required": ["a"]}, "then": {"properties": {"a": {}}}, "unevaluatedProperties": False},
    {"if": {"required": ["a"]}, "else": {"properties": {"b": {}}}, "unevaluatedProperties": False},
    {"dependentSchemas": {"a": {"properties": {"b": {}}}}, "unevaluatedProperties": False},
    {"contains": {"type": "integer"}, "unevaluatedItems": False},
    {"prefixItems": [{}], "unevaluatedItems": {"type": "string"}},
    {"allOf": [{"items": {"type": "integer"}}], "unevaluatedItems": False},
    {
        "oneOf": [{"prefixItems": [{"const": 1}]}, {"prefixItems": [{"const": "a"}, {}]}],
        "unevaluatedItems": False,
    },
]
SCALARS = (
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, -1, 1.5, 10**30, 1e30, "", "a", "aa", "ab", "1"])
)
CONTENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "aa", "b", "ab", "enum"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(SCHEMAS), CONTENTS)
def test_what_is_found_is_what_jsonschema_finds(schema: dict[str, Any], content: Content) -> None:
    found = mismatches(json.dumps(schema), content)

    expected = list(Draft202012Validator(schema).iter_errors(content))
    assert sorted(map(_told, found)) == sorted(map(_told, expected))


@pytest.mark.parametrize(
    ("items", "are_unique"),
    [
        ([1, True, "1", None, 0, False, [1], [True], {"a": 1}, {"a": True}], True),
        ([1, "a", 1.0], False),
        ([{"a": 1, "b": 2}, "a", {"b": 2.0, "a": 1}], False),
        ([[0.0], "a", [-0.0]], False),
        ([10**400, "a", 10**400 + 1], True),
        (["\ud800", 1, "\ud801"], True),
    ],
)
def test_items_are_equal_as_in_json(items: list[Any], are_unique: bool) -> None:
    assert (mismatches('{"uniqueItems": true}', items) == []) is are_unique


def _texts_and_numbers(count: int) -> Content:
    return [index if index % 2 else str(index) for index in range(count)]


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        ({"type": "array", "items": {}, "uniqueItems": True}, _texts_and_numbers),
        ({"uniqueItems": True}, lambda count: [{"a": index} for index in range(count)]),
        # Python's hashes of these numbers are all the same.
        ({"uniqueItems": True}, lambda count: ["a", *(index * (2**61 - 1) for index in range(count))]),
        ({"unevaluatedItems": False, "allOf": [{"items": {}}]}, _texts_and_numbers),
        ({"unevaluatedItems": False, "contains": {}}, _texts_and_numbers),
        (
            {"unevaluatedProperties": False, "patternProperties": {"": {}}},
            lambda count: dict.fromkeys(map(str, range(count))),
        ),
        (
            {"patternProperties": {"^a": {}}, "additionalProperties": False},
            lambda count: dict.fromkeys(map(str, range(count))),
        ),
    ],
)
def test_the_time_of_a_check_grows_with_the_content(
    schema: dict[str, Any], content: Callable[[int], Content]
) -> None:
    assert growth(lambda text: mismatches(json.dumps(schema), content(len(text))), Pump("a")) < 24


def test_an_enum_of_many_is_searched_at_once() -> None:
    def check(text: str) -> None:
        schema = {"items": {"enum": [f"{index}" for index in range(len(text))]}}
        mismatches(json.dumps(schema), [f"{index}" for index in range(len(text))])

    assert growth(check, Pump("a")) < 24


@pytest.mark.parametrize("schema", [{"pattern": "^(a|aa)+$"}, {"items": {"pattern": "^(a|aa)+$"}}])
def test_a_pattern_that_would_take_years_fits_nothing(schema: dict[str, Any]) -> None:
    text = "a" * 60 + "!"
    start = thread_time()

    [error] = mismatches(json.dumps(schema), [text] * 1_000 if "items" in schema else text)

    assert thread_time() - start < 20 * PATTERNS_S
    assert "texts take too long to compare with the pattern" in error.message


@pytest.mark.parametrize("keyword", ["additionalProperties", "unevaluatedProperties"])
def test_a_pattern_of_names_that_would_take_years_fits_nothing(keyword: str) -> None:
    schema = {keyword: False, "patternProperties": {"^(a|aa)+$": {}}}

    [error] = mismatches(json.dumps(schema), {"a" * 60 + "!": 1})

    assert "take too long" in error.message


def test_a_pattern_of_a_megabyte_is_none() -> None:
    with pytest.raises(InvalidSchemaError, match="a pattern has 1000000 characters"):
        mismatches(json.dumps({"pattern": "a" * 100 * LONGEST_PATTERN}), "a")


def test_many_references_and_many_problems_are_told_apart_in_time() -> None:
    schema = '{"properties": {"x": {"items": {"type": "string"}}}}'

    def check(text: str) -> None:
        references = [types.Reference(step_id="a", into=f"/x/{index}") for index in range(len(text))]
        content = {"x": [None] * len(text) + [1] * len(text)}
        assert len(Arguments.of(content, references).misfits(schema)) == 5

    assert growth(check, Pump("a")) < 24


def _told(error: Any) -> tuple[str, list[str]]:
    return error.message, list(map(str, error.absolute_path))
