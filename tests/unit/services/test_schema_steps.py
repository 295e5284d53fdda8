"""A check ends after a number of steps that follows from the size of the content, whatever the schema asks for."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import pytest
from orchestrator_services import json_schemas, schema_keywords, schema_steps
from orchestrator_services.json_schemas import (
    MOST_LISTED,
    InvalidSchemaError,
    NotCheckedError,
    mismatches,
    require_schema,
)
from orchestrator_services.models.outputs import Output
from orchestrator_services.schema_steps import STEPS_FOR_A_SCHEMA, most_steps, spend
from orchestrator_services.tool_selector.arguments import Arguments
from referencing import Resource

from orchestrator.sdk import PermanentError, ToolDefinition
from orchestrator.sdk.messages import types

LEVELS = 40
"""A chain of so many, with two branches each, has 2^40 ends."""
MISFIT = "it takes too long to check"
Schema = Mapping[str, Any]


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps were made: a test that makes more than any check may ends."""
    made = [0]

    def counted(*args: Any) -> None:
        made[0] += 1
        assert made[0] <= STEPS_FOR_A_SCHEMA
        spend(*args)

    monkeypatch.setattr(schema_keywords, "spend", counted)
    return made


def branching(both: Callable[[Schema, Schema], Schema]) -> Schema:
    """A schema that is applied to `text` twice, and each of these twice more, and so on."""
    levels = {
        f"d{level}": both({"$ref": f"#/$defs/d{level + 1}"}, {"$ref": f"#/$defs/d{level + 1}"})
        for level in range(LEVELS)
    }
    return {
        "type": "object",
        "properties": {"text": {"$ref": "#/$defs/d0"}},
        "$defs": {**levels, f"d{LEVELS}": {"type": ["string", "object"]}},
    }


BRANCHES: Mapping[str, Callable[[Schema, Schema], Schema]] = {
    "allOf": lambda one, other: {"allOf": [one, other]},
    "anyOf": lambda one, other: {"anyOf": [{"allOf": [one, False]}, other]},
    "oneOf": lambda one, other: {"oneOf": [{"not": one}, other]},
    "not": lambda one, other: {"not": one, "allOf": [other]},
    "if": lambda one, other: {"if": one, "then": other},
    "properties": lambda one, other: {"properties": {"in": one}, "patternProperties": {"i": other}},
    "dependentSchemas": lambda one, other: {"dependentSchemas": {"in": one}, "allOf": [other]},
    "unevaluatedProperties": lambda one, other: {**one, "unevaluatedProperties": other},
    "contains": lambda one, other: {"contains": one, "items": other},
    "dialect": lambda one, other: {
        "$schema": "http://json-schema.org/draft-07/schema",
        "allOf": [one, other],
    },
}


def nested(content: Any, levels: int) -> Any:
    for _ in range(levels):
        content = {"in": content}
    return content


def listed(content: Any, levels: int) -> Any:
    for _ in range(levels):
        content = [content]
    return content


@pytest.mark.parametrize("name", BRANCHES)
def test_a_schema_that_branches_without_end_fits_nothing(name: str, steps: list[int]) -> None:
    content = {"text": listed("a", LEVELS) if name == "contains" else nested("a", LEVELS)}

    [error] = mismatches(json.dumps(branching(BRANCHES[name])), content)

    assert isinstance(error, NotCheckedError)
    assert MISFIT in error.message
    assert steps[0] <= most_steps(200)


MANY = 300


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less work, as of content of fewer values."""
    monkeypatch.setattr(schema_steps, "STEPS_FLOOR", 500)
    monkeypatch.setattr(schema_steps, "STEPS_PER_VALUE", 10)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    ("schema", "content"),
    [
        pytest.param({"allOf": [{"items": {}}] * MANY}, list(range(MANY)), id="items"),
        pytest.param(
            {"allOf": [{"additionalProperties": {}}] * MANY},
            dict.fromkeys(map(str, range(100))),
            id="properties",
        ),
        pytest.param({"items": {"allOf": [{}] * MANY}}, [1] * MANY, id="parts"),
        pytest.param({"allOf": [{"uniqueItems": True}] * MANY}, list(range(MANY)), id="sets"),
        pytest.param({"allOf": [{"enum": [[1]]}] * MANY}, [1] * MANY, id="members"),
        pytest.param({"allOf": [{"const": [1] * MANY}] * (MANY // 2)}, [1] * MANY, id="constant"),
        pytest.param({"allOf": [False] * 2 * MANY}, [1] * MANY, id="messages"),
        pytest.param({"allOf": [{"type": "null"}] * MANY}, "a" * 1_000 * MANY, id="messages of texts"),
        pytest.param({"allOf": [{"not": {"type": "string"}}] * MANY}, "a" * 1_000 * MANY, id="not"),
        pytest.param(
            {"items": {"properties": {f"a{index}": {} for index in range(MANY)}}}, [{}] * MANY, id="names"
        ),
    ],
)
def test_much_of_a_schema_with_much_content_fits_nothing(schema: Schema, content: Any) -> None:
    [error] = mismatches(json.dumps(schema), content)

    assert isinstance(error, NotCheckedError)


LONG = "A" * 50_000


@pytest.mark.parametrize(
    "item",
    [
        {"const": LONG},
        {"enum": [LONG]},
        {"not": {"type": "object", "title": LONG}},
        {"required": [LONG]},
        {"dependentRequired": {"a": [LONG]}},
        {"oneOf": [{"title": LONG}, {}]},
    ],
    ids=lambda item: next(iter(item)),
)
def test_messages_that_repeat_a_text_of_the_schema_count_as_long_as_they_are(item: Schema) -> None:
    """Each wrong item has one, and they are listed whole: together they would have half a gigabyte."""
    schema = json.dumps({"type": "array", "items": item})

    [error] = mismatches(schema, [{"a": 1}] * 10_000)

    assert isinstance(error, NotCheckedError)


def test_what_does_not_fit_is_listed_to_a_bound() -> None:
    """Each is an object of kilobytes, and no more than a few are shown."""
    schema = json.dumps({"type": "array", "items": {"type": "integer"}})

    errors = mismatches(schema, ["text"] * 5_000)

    assert len(errors) == MOST_LISTED + 1
    assert isinstance(errors[-1], NotCheckedError)
    assert mismatches(schema, [1] * 5_000) == []


def test_what_alternatives_do_not_fit_has_a_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_steps, "MOST_ERRORS", 1_000)
    many = {"type": "array", "items": {"type": "integer"}}

    [error] = mismatches(json.dumps({"anyOf": [many, many]}), ["text"] * 2_000)

    assert isinstance(error, NotCheckedError)


@pytest.mark.usefixtures("few_steps")
def test_references_that_are_walked_for_long_count_as_much() -> None:
    path = "/".join(["items"] * 150)
    deep: Any = {"type": "integer"}
    for _ in range(150):
        deep = {"items": deep}
    schema = {"$defs": {"list": {"const": deep}}, "items": {"$ref": f"#/$defs/list/const/{path}"}}

    [error] = mismatches(json.dumps(schema), [1] * MANY)

    assert isinstance(error, NotCheckedError)


def test_names_in_a_schema_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = json.dumps(
        {"items": {"$ref": "#one"}, "$defs": {"one": {"$anchor": "one", "type": "integer"}, "a": {}, "b": {}}}
    )
    searched: list[object] = []
    subresources = Resource.subresources

    def noted(self: Any) -> Any:
        searched.append(self)
        return subresources(self)

    monkeypatch.setattr(Resource, "subresources", noted)
    require_schema(schema)
    once = len(searched)

    assert mismatches(schema, [1] * 100) == []
    assert once == 5
    assert len(searched) == 2 * once, "to find that it is one, and to check with it"


def test_a_schema_is_checked_in_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schemas, "STEPS_FOR_A_SCHEMA", 5_000)
    schema = json.dumps({"properties": {f"a{index}": {} for index in range(MANY)}})

    with pytest.raises(InvalidSchemaError, match=MISFIT):
        require_schema(schema)


def alternatives(count: int) -> Schema:
    """Of five properties each, as a union of models has them."""
    return {
        "type": "array",
        "items": {"anyOf": [{"$ref": f"#/$defs/m{index}"} for index in range(count)]},
        "$defs": {
            f"m{index}": {
                "type": "object",
                "properties": {
                    "kind": {"const": f"m{index}"},
                    **{name: {"anyOf": [{"type": "string"}, {"type": "null"}]} for name in "abcd"},
                },
                "required": ["kind", "a"],
                "additionalProperties": False,
            }
            for index in range(count)
        },
    }


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        (alternatives(20), [{"kind": "m19", "a": "x", "b": None, "c": "y", "d": "z"}] * 200),
        (alternatives(2), [{"kind": "m1", "a": "x", "b": None, "c": "y", "d": "z"}] * 500),
        ({"items": {"type": "integer"}}, list(range(100 * MANY))),
        (jsonschema.Draft202012Validator.META_SCHEMA, jsonschema.Draft202012Validator.META_SCHEMA),
    ],
)
def test_large_content_of_usual_schemas_is_checked(schema: Schema, content: Any) -> None:
    assert mismatches(json.dumps(schema), content) == []


@pytest.mark.parametrize(
    "schema", [branching(BRANCHES["allOf"]), {"properties": {"text": {"pattern": "^(a|aa)+$"}}}]
)
def test_arguments_whose_check_takes_too_long_do_not_fit_though_others_are_not_known(schema: Schema) -> None:
    tool = ToolDefinition(name="slow", arguments_schema=json.dumps(schema))
    arguments = Arguments.of(
        {"text": "a" * 60 + "!", "other": None}, [types.Reference(step_id="a", into="/other")]
    )

    [problem] = arguments.problems(tool)

    assert "too long" in problem


@pytest.mark.usefixtures("few_steps")
def test_an_output_whose_schema_takes_too_long_to_check_does_not_fit() -> None:
    output = Output({"type": "object", "properties": {"text": {"items": {"allOf": [{}] * 1_000}}}})

    [problem] = output.problems({"text": [{}] * MANY})

    assert MISFIT in problem


def test_an_output_schema_that_grows_without_end_cannot_be_asked_for() -> None:
    with pytest.raises(PermanentError, match="the output schema cannot be used"):
        Output(dict(branching(BRANCHES["allOf"])))


def test_the_schemas_of_a_list_have_their_steps_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_steps, "STEPS_FOR_A_LIST", 30_000)
    schema = json.dumps({"allOf": [{}] * 100})
    require_schema(schema)

    with schema_steps.steps_for_list():
        require_schema(schema)
        others = [_is_schema(schema) for _ in range(20)]
    assert True in others
    assert False in others
    require_schema(schema)


def _is_schema(text: str) -> bool:
    try:
        require_schema(text)
    except InvalidSchemaError:
        return False
    return True
