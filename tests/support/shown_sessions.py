"""Sessions as pages show them: lines of events, compared with those of a real one."""

import re
from fnmatch import fnmatchcase
from typing import Final

from orchestrator.sdk import TimelineEntry

EVENT_LINE: Final = re.compile(
    r"(?P<time>[\d:.]{12}) +(?:#(?P<sequence>\d+))? +(?P<type>[A-Z]\w+) +(?P<summary>.+)"
)
_MEASURED: Final = re.compile(r"\d+ ms|\d+\.\d s|[\d,]+ tokens|\$\d+\.\d+")


def like(entry: TimelineEntry, line: re.Match[str]) -> bool:
    """Whether a line shows such an event: any duration and usage will do, and `…` stands for anything."""
    pattern = _MEASURED.sub("*", line["summary"]).replace("[", "[[]").replace("…", "*")
    numbered = line["sequence"] is not None
    is_own = entry.sequence is not None
    return line["type"] == entry.type and numbered == is_own and fnmatchcase(entry.summary, pattern)
