"""Where two JSON documents differ."""

import json
from typing import Any, Final

_SHOWN: Final = 120
"""Characters of a value; texts are shown from a little before the place where they part."""
_BEFORE: Final = 30


def first_difference(recorded: Any, sent: Any) -> str:
    """The first place in which they differ, and what is there."""
    pointer, before, after = _first(recorded, sent, "")
    start = 0
    if isinstance(before, str) and isinstance(after, str):
        start = max(0, len(_common(before, after)) - _BEFORE)
    return f"at {pointer or '/'}: {_shown(before, start)} was recorded, {_shown(after, start)} is sent"


class _Missing:
    """Stands where one of them has nothing."""


def _first(one: Any, other: Any, at: str) -> tuple[str, Any, Any]:
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(str(key), one.get(key, _Missing), other.get(key, _Missing)) for key in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list):
        longest = max(len(one), len(other))
        pairs = [(str(index), _item(one, index), _item(other, index)) for index in range(longest)]
    else:
        return at, one, other
    for key, left, right in pairs:
        if left != right:
            return _first(left, right, f"{at}/{key.replace('~', '~0').replace('/', '~1')}")
    return at, one, other


def _item(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _Missing


def _common(one: str, other: str) -> str:
    length = next(
        (index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None
    )
    return one[:length] if length is not None else min(one, other, key=len)


def _shown(value: Any, start: int) -> str:
    if value is _Missing:
        return "nothing"
    if isinstance(value, str):
        value = value[start : start + _SHOWN]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN + 2 else f"{text[:_SHOWN]}…"
