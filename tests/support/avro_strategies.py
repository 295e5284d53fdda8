"""Strategies for every message of the catalogue, built from its Avro schema."""

from enum import StrEnum
from functools import cache
from typing import Any

from hypothesis import strategies as st

from orchestrator.bus.avro.compiler import Model, model_of
from orchestrator.messages.schemas import declared

LONGS = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 20_000), st.integers(1 << 47, 1 << 56)
)
INTS = st.integers(-(1 << 31), (1 << 31) - 1)
TIMES = st.integers(0, 253_402_300_799_999_999)
"""Micros up to the end of the year 9999, the last that RFC 3339 can write."""
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["", "x" * 70, "ä" * 5000]))


@cache
def models(avro_name: str) -> st.SearchStrategy[Model]:
    """Models of a record, of all shapes that its schema allows."""
    fields = {field["name"]: _values(field["type"]) for field in declared(avro_name)["fields"]}
    if "correlation_id" in fields:
        fields["correlation_id"] = st.uuids().map(str)
    return st.builds(model_of(avro_name), **fields)


def _values(avro: Any) -> st.SearchStrategy[Any]:
    match avro if isinstance(avro, str | list) else avro.get("logicalType", avro["type"]):
        case ["null", branch]:
            return st.none() | _values(branch)
        case "timestamp-micros":
            return TIMES
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
    "long": LONGS,
    "int": INTS,
    "bytes": st.binary(max_size=200),
    "boolean": st.booleans(),
    "double": st.floats(allow_nan=False),
}
