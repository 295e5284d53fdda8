"""Valid messages of the catalogue, made from their Avro schemas and ranges."""

from enum import StrEnum
from random import Random
from typing import Any, Final

from orchestrator.bus.avro.compiler import Model, model_of
from orchestrator.messages.ranges import LATEST, range_of
from orchestrator.messages.schemas import declared
from orchestrator.testing.scenario import SESSION

_TEXTS: Final = (
    "",
    "",
    "a",
    "default",
    "sql.query",
    "step",
    "é",
    "\x1b[31m",
    "x" * 300,
    "a/b",
    "../x",
    "\n",
    SESSION,
)
_JSON: Final = (
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b'{"a": [1, 2, {"b": null}]}',
    b"not json",
    b"\xff",
    b"",
)
_NAMED: Final = {
    "correlation_id": (SESSION, SESSION, SESSION, SESSION, SESSION, SESSION.upper(), "", "no id"),
    "media_type": ("application/json", "application/json", "text/plain", "image/png", ""),
    "key": ("", "", "k"),
    "tenant": ("default", "default", "other"),
    "agent": ("default", "default", "other"),
}


def message_of(avro_name: str, random: Random, depth: int = 0, **given: Any) -> Model:
    """A message that its schema takes. `given` are fields that are fixed."""
    fields = {}
    for field in declared(avro_name)["fields"]:
        name = field["name"]
        if name in given:
            fields[name] = given[name]
        elif name in _NAMED and field["type"] == "string":
            fields[name] = random.choice(_NAMED[name])
        else:
            fields[name] = _number(field, random) if range_of(field) else _value(field["type"], random, depth)
    made: Model = model_of(avro_name)(**fields)
    return made


def _number(field: Any, random: Random) -> Any:
    allowed = range_of(field)
    assert allowed is not None
    if allowed.optional and random.random() < 0.4:
        return None
    lowest, highest = allowed.lowest, allowed.highest
    if highest > LATEST:
        return random.choice((lowest, highest, 0.0, 0.5, 1.0))
    candidates = (lowest, highest, lowest + 1, min(highest, 1_000), min(highest, 1_790_000_000_000_000))
    return int(random.choice(candidates))


def _value(avro: Any, random: Random, depth: int) -> Any:
    match avro if isinstance(avro, str | list) else avro.get("logicalType", avro["type"]):
        case ["null", branch]:
            return None if depth > 4 or random.random() < 0.4 else _value(branch, random, depth + 1)
        case "array":
            return tuple(_value(avro["items"], random, depth + 1) for _ in range(_count(random, depth)))
        case "map":
            keys = {random.choice(_TEXTS) for _ in range(_count(random, depth))}
            return {key: _value(avro["values"], random, depth + 1) for key in sorted(keys)}
        case "string":
            return random.choice(_TEXTS)
        case "bytes":
            return random.choice(_JSON)
        case "boolean":
            return random.random() < 0.5
        case "long" | "int":
            return random.choice((0, 1, 100))
        case "double":
            return 0.5
        case str() as name if "." in name:
            named = model_of(name)
            is_enum = issubclass(named, StrEnum)
            return random.choice(list(named)) if is_enum else message_of(name, random, depth + 1)
        case other:
            raise TypeError(f"our schemas do not use {other}")


def _count(random: Random, depth: int) -> int:
    return 0 if depth > 3 else random.choice((0, 1, 1, 2, 3))
