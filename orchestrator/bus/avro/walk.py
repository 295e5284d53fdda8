"""Walks a body by its writer's schema before fastavro reads it, within bounds that no schema and no body escape.

fastavro trusts both: a recursive field is read as deep as the body says, until the stack ends, and an array of items
that take no bytes as often as its count says. A walk takes the same bytes without building anything. It refuses depth,
and more values than a body of this size has for a reason. What it has accepted, fastavro reads in bounded time.
Source of the encoding: Apache Avro 1.12 specification, "Binary encoding".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from orchestrator.bus.avro.primitives import read_count, read_int, read_length, read_long
from orchestrator.errors import ContractError

MAX_DEPTH: Final = 64
"""Records, arrays, maps and unions inside each other. Ours have some twelve."""
_FREE_VALUES: Final = 10_000
_VALUES_PER_BYTE: Final = 8
"""A value of ours takes a byte or more; items, and the records that wrap them, count as well."""
_MOST_VALUES: Final = 2_000_000
"""Two seconds of walking."""

_FIXED: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class _Bounds:
    """What is left for one body."""

    __slots__ = ("depth", "end", "values")

    def __init__(self, end: int) -> None:
        self.end = end
        self.depth = MAX_DEPTH
        self.values = min(_FREE_VALUES + _VALUES_PER_BYTE * end, _MOST_VALUES)

    def spend(self, values: int) -> None:
        self.values -= values
        if self.values < 0:
            raise ContractError(f"the body has more values than a body of {self.end} bytes may have")

    def enter(self) -> None:
        self.depth -= 1
        if self.depth < 0:
            raise ContractError(f"the body is nested deeper than {MAX_DEPTH} levels")


_Step: TypeAlias = Callable[[bytes, int, _Bounds], int]
"""Walks one value: the offset behind it."""


class Walk:
    """Walks bodies of one writer's schema."""

    def __init__(self, schema: Any) -> None:
        """`schema` is what `fastavro.parse_schema` returned, so that both read the same types by the same names.
        Raises `ContractError` for what is not an Avro schema."""
        self._named: dict[str, _Step] = {}
        self._root = self._step(schema)

    def end(self, data: bytes, at: int) -> int:
        """The offset behind the body that begins at an offset.

        Raises `ContractError` for one that is beyond a bound, or that the bytes do not hold.
        """
        bounds = _Bounds(len(data))
        try:
            return self._root(data, at, bounds)
        except (IndexError, ValueError, KeyError) as error:
            raise ContractError(f"the body does not fit its writer's schema: {error}") from error
        except RecursionError as error:
            raise ContractError("the body is nested too deep") from error

    def _step(self, schema: Any) -> _Step:
        match schema:
            case list():
                return _union([self._step(branch) for branch in schema])
            case str():
                return self._primitive_or_named(schema)
            case {"type": "array", "items": items}:
                return _blocks(self._step(items))
            case {"type": "map", "values": values}:
                return _blocks(_entry(self._step(values)))
            case {"type": "enum", "name": str(name)}:
                return self._define(name, _int)
            case {"type": "fixed", "name": str(name), "size": int(size)} if size >= 0:
                return self._define(name, _bytes(size))
            case {"type": "record" | "error", "name": str(name), "fields": list(fields)}:
                return self._record(name, fields)
            case {"type": inner}:
                return self._step(inner)
            case _:
                raise ContractError("the writer's schema is not an Avro schema")

    def _primitive_or_named(self, name: str) -> _Step:
        if name in _FIXED:
            return _bytes(_FIXED[name])
        if name in _OTHERS:
            return _OTHERS[name]
        # Looked up when it is walked: a type may refer to itself.
        return lambda data, at, bounds: self._named[name](data, at, bounds)

    def _define(self, name: str, step: _Step) -> _Step:
        self._named[name] = step
        return step

    def _record(self, name: str, fields: Sequence[Any]) -> _Step:
        steps: list[_Step] = []
        step = self._define(name, _fields(steps))
        for field in fields:
            if not isinstance(field, dict) or "type" not in field:
                raise ContractError(f"the writer's schema has a field of {name} without a type")
            steps.append(self._step(field["type"]))
        return step


def _bytes(size: int) -> _Step:
    def step(_data: bytes, at: int, bounds: _Bounds) -> int:
        bounds.spend(1)
        return _within(at + size, bounds)

    return step


def _int(data: bytes, at: int, bounds: _Bounds) -> int:
    bounds.spend(1)
    return read_int(data, at)[1]


def _long(data: bytes, at: int, bounds: _Bounds) -> int:
    bounds.spend(1)
    return read_long(data, at)[1]


def _sized(data: bytes, at: int, bounds: _Bounds) -> int:
    bounds.spend(1)
    length, at = read_length(data, at)
    return _within(at + length, bounds)


def _within(at: int, bounds: _Bounds) -> int:
    if at > bounds.end:
        raise ContractError("the body is too short for its writer's schema")
    return at


def _union(branches: Sequence[_Step]) -> _Step:
    def step(data: bytes, at: int, bounds: _Bounds) -> int:
        branch, at = read_length(data, at)
        if branch >= len(branches):
            raise ContractError(f"a union has no branch {branch}")
        bounds.enter()
        at = branches[branch](data, at, bounds)
        bounds.depth += 1
        return at

    return step


def _fields(steps: Sequence[_Step]) -> _Step:
    def step(data: bytes, at: int, bounds: _Bounds) -> int:
        bounds.spend(1)
        bounds.enter()
        for field in steps:
            at = field(data, at, bounds)
        bounds.depth += 1
        return at

    return step


def _entry(value: _Step) -> _Step:
    return lambda data, at, bounds: value(data, _sized(data, at, bounds), bounds)


def _blocks(item: _Step) -> _Step:
    """Items of an array, or entries of a map. A block that says its size must have it: readers may skip by it."""

    def step(data: bytes, at: int, bounds: _Bounds) -> int:
        bounds.enter()
        while True:
            begin = at
            count, at = read_count(data, at)
            if count == 0:
                bounds.depth += 1
                return at
            size = _block_size(data, begin)
            start = at
            bounds.spend(count)
            for _ in range(count):
                at = item(data, at, bounds)
            if size is not None and at - start != size:
                raise ContractError(f"a block of {at - start} bytes says that it has {size}")

    return step


def _block_size(data: bytes, at: int) -> int | None:
    """The size that a block says; None if it says none."""
    count, at = read_long(data, at)
    return read_length(data, at)[0] if count < 0 else None


_OTHERS: Final[Mapping[str, _Step]] = {"int": _int, "long": _long, "bytes": _sized, "string": _sized}
