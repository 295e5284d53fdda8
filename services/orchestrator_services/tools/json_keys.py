"""Keys of JSON that differ by case alone. Columns and fields of structs do not: DuckDB renames the second, or fails."""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any, Final, TypeAlias

from orchestrator_services.tools.text_files import UnreadableError

Place: TypeAlias = tuple[str | None, ...]
"""Keys down to an object; None for a list."""
_NUMBERED: Final = re.compile(r"(.*)_\d+", re.DOTALL)


def may_be_renamed(columns: Collection[str]) -> bool:
    """Whether a column may be a key that DuckDB has numbered, as `A_1` beside `a`."""
    names = {_folded(name) for name in columns}
    return any((found := _NUMBERED.fullmatch(name)) and _folded(found[1]) in names for name in columns)


def refuse_alike(records: Iterable[tuple[int, str]], *, nested: bool) -> None:
    """Raises `UnreadableError` for the first two keys of one place that differ by case alone. Records are (line, text);
    `nested`: places inside of them too."""
    places: dict[Place, dict[bytes, tuple[str, int]]] = {}
    for line, text in records:
        pending: list[tuple[Place, Any]] = [((), json.loads(text))]
        while pending:
            place, value = pending.pop()
            if isinstance(value, dict):
                known = places.setdefault(place, {})
                for name, inner in value.items():
                    other, at = known.setdefault(_folded(name), (name, line))
                    if other != name:
                        raise UnreadableError(
                            f"line {line} has the key {name!r:.100}, and line {at} has {other!r:.100}: names of "
                            "columns do not differ by case alone, so rename one"
                        )
                    if nested:
                        pending.append(((*place, name), inner))
            elif isinstance(value, list) and nested:
                pending += [((*place, None), one) for one in reversed(value)]


def _folded(name: str) -> bytes:
    """Equal for names that are one to DuckDB, which takes letters of ASCII alone in both cases."""
    return name.encode().lower()
