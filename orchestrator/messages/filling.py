"""Documents whose references are filled from the outputs of steps, and how large that may make them.

A reference takes a few bytes and stands for up to a whole output, as often as it is written: without a bound a plan of
50 KB comes to gigabytes.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, Final

import jsonpointer
import msgspec

from orchestrator.errors import ContractError
from orchestrator.messages.types import Document, Reference, Value

MOST_FILLED: Final = 32 << 20
"""Bytes of JSON that the references of one document may stand for together. A document with one reference may be as
large as its output is."""
MOST_REFERENCES: Final = 10_000
"""References in one document."""


class Room:
    """What is left for the references of one document, or of the documents of one plan."""

    def __init__(self, most: int = MOST_FILLED) -> None:
        self._most = most
        self._taken = 0
        self._references = 0
        self._sizes: dict[Hashable, int] = {}

    def take(self, key: Hashable, part: Callable[[], Any]) -> None:
        """Takes the size of a part, which the same key always stands for. Each is measured once. Raises
        `ContractError`."""
        size = self._sizes.get(key)
        if size is None:
            size = self._sizes[key] = _size(part())
        self.take_bytes(size)

    def take_bytes(self, size: int) -> None:
        """The same for a size that is known."""
        self._taken += size
        self._references += 1
        if self._references > MOST_REFERENCES:
            raise ContractError(f"there are more than {MOST_REFERENCES:,} references in one document")
        if self._taken > self._most and self._references > 1:
            raise ContractError(
                f"its references stand for more than {self._most >> 20} MiB together: refer to parts, or to less"
            )


def _size(part: Any) -> int:
    try:
        return len(msgspec.json.encode(part))
    except (TypeError, ValueError, OverflowError, RecursionError):
        # It cannot be written as JSON, which is said where it would be.
        return len(str(part))


def require_room(document: Document, outputs: Mapping[str, Value]) -> None:
    """Raises `ContractError` if the outputs that a document refers to as a whole are too much for one document. Nothing
    is loaded for that; parts are measured when they are filled in."""
    room = Room()
    for reference in document.references:
        known = outputs.get(reference.step_id)
        room.take_bytes(0 if reference.at or known is None else known.size)


def fill_content(content: Any, references: Iterable[Reference], outputs: Mapping[str, Any]) -> Any:
    """JSON content with every reference filled from the loaded outputs of steps. Changes `content` in place.

    Raises `ContractError` for a reference that finds nothing, and for references that stand for too much.
    """
    ordered = _outermost_first(references)
    parts = [_part(reference, outputs) for reference in _within_room(ordered, outputs)]
    places = [reference.into for reference in ordered]
    for reference, part, is_filled in zip(ordered, parts, _are_filled(places), strict=True):
        # What is filled in turn is a copy: outputs stand in several places, each of which it would change.
        content = _set(content, reference.into, _copied(part) if is_filled else part)
    return content


def _outermost_first(references: Iterable[Reference]) -> list[Reference]:
    return sorted(references, key=lambda reference: reference.into.count("/"))


def _within_room(references: list[Reference], outputs: Mapping[str, Any]) -> list[Reference]:
    if len(references) > 1:
        room = Room()
        for reference in references:
            room.take((reference.step_id, reference.at), partial(_part, reference, outputs))
    return references


def _are_filled(places: list[str]) -> list[bool]:
    """Whether another place lies below each of these."""
    above: set[str] = set()
    for place in set(places):
        while place:
            place = place.rpartition("/")[0]
            if place in above:
                break
            above.add(place)
    return [place in above for place in places]


def _copied(part: Any) -> Any:
    try:
        return deepcopy(part)
    except RecursionError as error:
        raise ContractError("an output with references below its place is nested too deep") from error


def _part(reference: Reference, outputs: Mapping[str, Any]) -> Any:
    if reference.step_id not in outputs:
        raise ContractError(f"the output of step {reference.step_id} is missing")
    try:
        taken = jsonpointer.resolve_pointer(outputs[reference.step_id], reference.at)
    except jsonpointer.JsonPointerException as error:
        raise ContractError(
            f"the output of step {reference.step_id} has nothing at {reference.at}: {error}"
        ) from error
    if isinstance(taken, jsonpointer.EndOfList):
        raise ContractError(
            f"the output of step {reference.step_id} has nothing at {reference.at}: it is behind the end of a list"
        )
    return taken


def _set(content: Any, place: str, part: Any) -> Any:
    if not place:
        return part
    try:
        # Setting alone would append to a list at `-`.
        if isinstance(jsonpointer.resolve_pointer(content, place, None), jsonpointer.EndOfList):
            raise ContractError(f"the document has no place {place}: it is behind the end of a list")
        return jsonpointer.set_pointer(content, place, part, inplace=True)
    except jsonpointer.JsonPointerException as error:
        raise ContractError(f"the document has no place {place}: {error}") from error
