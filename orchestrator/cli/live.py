"""What models write, as text that grows while they write it."""

import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TextIO

from orchestrator.cli import times
from orchestrator.telemetry.plain_text import indented, one_line

if TYPE_CHECKING:
    from orchestrator.messages.events import ModelProgressed

_REMEMBERED: Final = 256
"""Parts of responses whose end is known, so that what comes again is not shown again."""
_GAP: Final = "…"
_INDENT: Final = "    "


class _Part:
    """How far a part of a response was shown."""

    __slots__ = ("end", "newest")

    def __init__(self) -> None:
        self.end = 0
        self.newest = 0
        """When the newest of what was shown was written."""


class LiveText:
    """Writes responses to a terminal as they grow, one block for each part. Call `pause` before you write yourself.

    Reports may be missing, late or repeated: what is missing is shown as `…`, what was shown is left out.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._parts: OrderedDict[tuple[str, int, int], _Part] = OrderedDict()
        self._open: tuple[str, int, int] | None = None
        """The part whose line is not ended."""

    def show(self, event: "ModelProgressed") -> None:
        place = (event.call.call_id, event.request, event.part)
        part = self._part(place)
        if event.position == 0 and part.end and event.occurred_at > part.newest:
            # Its process was replaced: the model is asked again, and may say something else.
            self.pause()
            part.end = 0
        is_missing = event.position > part.end
        added = event.text[max(0, part.end - event.position) :]
        part.end = max(part.end, event.position + len(event.text))
        part.newest = max(part.newest, event.occurred_at)
        if added or is_missing:
            self._write(place, event, (_GAP if is_missing else "") + added)
        if event.ended and self._open == place:
            self.pause()

    def pause(self) -> None:
        """Ends the line that is open."""
        if self._open is not None:
            self._open = None
            self._stream.write("\n")
            self._stream.flush()

    def _part(self, place: tuple[str, int, int]) -> _Part:
        part = self._parts.setdefault(place, _Part())
        self._parts.move_to_end(place)
        if len(self._parts) > _REMEMBERED:
            self._parts.popitem(last=False)
        return part

    def _write(self, place: tuple[str, int, int], event: "ModelProgressed", text: str) -> None:
        if self._open != place:
            self.pause()
            self._open = place
            self._stream.write(_heading(event))
        self._stream.write(indented(text, _INDENT))
        self._stream.flush()


def _heading(event: "ModelProgressed") -> str:
    from orchestrator.messages.call_kinds import call_name

    about = f"calls {event.tool}" if event.tool else "says"
    return one_line(f"{times.shown_clock(event.occurred_at)}        {call_name(event.call)} {about}: ")
