"""Writers' schemas: ours as another version, a stranger or an attacker would have them."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

_TYPES: Final[tuple[Any, ...]] = (
    *(
        "null",
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "bytes",
        "string",
        "SubmitTask",
        "agents.types.Call",
        "",
    ),
    ["null", "string"],
    ["string", "null", "long"],
    [],
    ["null", "null"],
    [["null"], "string"],
    {"type": "array", "items": "null"},
    {"type": "array", "items": "string"},
    {"type": "map", "values": "null"},
    {"type": "map", "values": {"type": "array", "items": "long"}},
    {"type": "fixed", "name": "F", "size": 16},
    {"type": "fixed", "name": "F", "size": 0},
    {"type": "fixed", "name": "F", "size": -1},
    {"type": "fixed", "name": "F", "size": 1 << 40},
    {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"},
    {"type": "enum", "name": "E", "symbols": ["A", "B"]},
    {"type": "enum", "name": "E", "symbols": []},
    {"type": "enum", "name": "E", "symbols": ["A", "A"], "default": "Z"},
    {"type": "record", "name": "Empty", "fields": []},
    {"type": "record", "name": "Self", "fields": [{"name": "self", "type": "Self"}]},
    {"type": "record", "name": "Chain", "fields": [{"name": "next", "type": ["null", "Chain"]}]},
    {
        "type": "record",
        "name": "List",
        "fields": [{"name": "all", "type": {"type": "array", "items": "List"}}],
    },
    {"type": "error", "name": "Wrong", "fields": [{"name": "a", "type": "int"}]},
    {"type": "bytes", "logicalType": "decimal", "precision": 1_000_000, "scale": 5},
    {"type": "bytes", "logicalType": "decimal", "precision": -1, "scale": 5},
    {"type": "string", "logicalType": "uuid"},
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": {"type": {"type": "string"}}},
    {"type": "long", "logicalType": ["timestamp-micros"]},
)
_ANYTHING: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1.5,
    1 << 70,
    "",
    "x",
    "\u0000",
    "é",
    [],
    {},
    [[]],
    {"a": 1},
)
_WORDS: Final = (
    "type",
    "name",
    "namespace",
    "fields",
    "items",
    "values",
    "symbols",
    "default",
    "logicalType",
)
_MORE: Final = (
    "aliases",
    "order",
    "doc",
    "size",
    "precision",
    "scale",
    "__fastavro_parsed__",
    "__named_schemas",
)
LONGEST: Final = 40_000
"""Characters of a schema: its own bounds are far above, and have tests of their own."""


def change_schema(text: str, random: Random, other: str) -> str:
    """The text of a schema with one change."""
    if random.random() < 0.05:
        return _broken(text, random)
    try:
        schema = json.loads(text)
        donor = json.loads(other) if other else "string"
    except (ValueError, RecursionError):
        return _broken(text, random)
    nodes = list(_nodes(schema))
    if not nodes:
        return json.dumps(random.choice(_TYPES))
    _change(*random.choice(nodes), random, donor)
    changed = json.dumps(schema)
    return changed if len(changed) <= LONGEST else text


def _nodes(schema: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a schema, as what contains it and its key or index."""
    places = (
        schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    )
    for key, inner in list(places):
        yield schema, key
        yield from _nodes(inner)


def _change(of: Any, key: Any, random: Random, donor: Any) -> None:
    match random.randrange(9):
        case 0 | 1:
            of[key] = random.choice(_TYPES)
        case 2:
            of[key] = random.choice(_ANYTHING)
        case 3 if isinstance(of, dict):
            del of[key]
        case 3:
            of.append(random.choice(_TYPES))
        case 4:
            of[key] = [of[key], random.choice(_TYPES)]
        case 5 if isinstance(of, dict):
            of[random.choice(_WORDS + _MORE)] = random.choice((*_TYPES, *_ANYTHING))
        case 6 if isinstance(of, dict) and isinstance(of.get("fields"), list):
            field = {"name": random.choice(("extra", "goal", "a-b", "")), "type": random.choice(_TYPES)}
            if random.random() < 0.5:
                field["default"] = random.choice(_ANYTHING)
            of["fields"].insert(random.randint(0, len(of["fields"])), field)
        case 7:
            found = list(_nodes(donor))
            if found:
                where, at = random.choice(found)
                of[key] = json.loads(json.dumps(where[at]))
        case _:
            of[key] = {"type": of[key]}


def _broken(text: str, random: Random) -> str:
    at = random.randint(0, len(text))
    return (
        text[:at] + random.choice(("", "{", "[" * 200, "NaN", '"', "\\ud800", "1e999", "//")) + text[at + 1 :]
    )
