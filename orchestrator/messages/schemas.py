"""The Avro schemas in `avro-schemas/`, self-contained: with the definitions of all types they refer to."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

Schema = dict[str, Any]

_PACKAGED: Final = Path(__file__).parent / "avro-schemas"
_CHECKOUT: Final = Path(__file__).parents[2] / "avro-schemas"
SCHEMA_ROOT: Final = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@cache
def declared(avro_name: str) -> Schema:
    """The schema as it is in its file. `avro_name` is full, such as `agents.events.PlanCreated`."""
    _, folder, name = avro_name.split(".")
    schema: Schema = json.loads((SCHEMA_ROOT / folder / f"{name}.avsc").read_text(encoding="utf-8"))
    return schema


@cache
def self_contained(avro_name: str) -> Schema:
    """The schema with each named type defined where it is first used, as it is registered."""
    schema = _inlined(avro_name, set())
    if not isinstance(schema, dict):  # pragma: no cover - a message is always a record
        raise TypeError(f"{avro_name} is not a record")
    return schema


def _inlined(avro: Any, seen: set[str]) -> Any:
    if isinstance(avro, list):
        return [_inlined(branch, seen) for branch in avro]
    if isinstance(avro, str):
        if "." not in avro or avro in seen:
            return avro
        seen.add(avro)
        return _inlined(declared(avro), seen)
    if avro["type"] == "record":
        return {**avro, "fields": [{**f, "type": _inlined(f["type"], seen)} for f in avro["fields"]]}
    if avro["type"] == "array":
        return {**avro, "items": _inlined(avro["items"], seen)}
    if avro["type"] == "map":
        return {**avro, "values": _inlined(avro["values"], seen)}
    return avro
