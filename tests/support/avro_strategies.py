"""Strategies for every message of the catalogue, built from its Avro schema."""

from enum import StrEnum
from functools import cache
from typing import Any

from hypothesis import strategies as st

from orchestrator.bus.avro.compiler import Model, model_of
from orchestrator.messages.ranges import LATEST, LONG, range_of
from orchestrator.messages.schemas import declared

TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["", "x" * 70, "ä" * 5000]))


@cache
def models(avro_name: str) -> st.SearchStrategy[Model]:
    """Models of a record, of all shapes that its schema allows."""
    fields = {field["name"]: _values_of(field) for field in declared(avro_name)["fields"]}
    if "correlation_id" in fields:
        fields["correlation_id"] = st.uuids().map(str)
    return st.builds(model_of(avro_name), **fields)


def _values_of(field: Any) -> st.SearchStrategy[Any]:
    allowed = range_of(field)
    if allowed is None:
        return _values(field["type"])
    lowest, highest = allowed.lowest, allowed.highest
    if highest > LATEST:
        numbers: st.SearchStrategy[Any] = st.floats(lowest, highest)
    else:
        # All lengths of an encoded number.
        some = [st.integers(int(lowest), min(int(highest), 1 << bits)) for bits in (6, 14, 47, 60)]
        numbers = st.one_of(*some)
    return st.none() | numbers if allowed.optional else numbers


def _values(avro: Any) -> st.SearchStrategy[Any]:
    match avro if isinstance(avro, str | list) else avro.get("logicalType", avro["type"]):
        case ["null", branch]:
            return st.none() | _values(branch)
        case "array":
            return st.lists(_values(avro["items"]), max_size=3).map(tuple)
        case "map":
            return st.dictionaries(TEXTS, _values(avro["values"]), max_size=3)
        case str() as name if "." in name:
            named = model_of(name)
            return st.sampled_from(list(named)) if issubclass(named, StrEnum) else models(name)
        case primitive:
            return _PRIMITIVES[str(primitive)]


_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "bytes": st.binary(max_size=200),
    "boolean": st.booleans(),
    "long": st.integers(0, LONG),
}
