"""Tools that are known only once somebody was asked, such as those of a server."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from orchestrator.messages.types import ToolDefinition
from orchestrator.sdk.tools import Tool


@dataclass(frozen=True)
class ToolSource:
    """Tools whose names all begin with the name of the source and a dot.

    An executor asks for them while it runs. Where nobody answers it says so, asks again later, and meanwhile runs
    everything else. Both functions are called on the event loop of the handlers.
    """

    role: ClassVar[str] = "tool source"

    name: str
    """Unique among sources, and no tool's name."""
    definitions: Callable[[], AsyncIterator[Sequence[ToolDefinition]]]
    """All tools there are now, and again all of them whenever they have changed. Raises where nobody answers.

    What has no name of a tool, one that came before, or one that leads to another tool or source of the process, is
    left out with a warning, and so is what comes after the first 1,000."""
    tool: Callable[[str], Tool]
    """The tool of a name, which its run may find not to exist (any more). Its own definition needs the name and the
    version that were announced, and whatever else is known without asking."""
    pool: str = ""
    """The tool pool that the tools run in; empty is the common one."""
