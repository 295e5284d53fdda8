"""JSON that means the same to everybody who reads it."""

import json
import math
from typing import Any, Final

from orchestrator.messages.numbers import keeps_digits


def strict_json(text: str) -> Any:
    """The content. Raises `ValueError` for what readers take differently, or cannot hold: a key that comes twice, NaN,
    numbers that are too large or have more digits than a DOUBLE keeps, half of a character; `json.JSONDecodeError` for
    what is no JSON."""
    content = _DECODER.decode(text)
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text has half of a character (a lone surrogate)") from None
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} comes twice in one object")
        found[name] = value
    return found


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:30]} is too large")
    if not keeps_digits(digits):
        raise ValueError(f"the number {digits[:30]} has more digits than are kept: write it as text")
    return number


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON: write null")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
