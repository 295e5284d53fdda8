"""What holds for lists of tools, of servers and of other sources: how many count, and how people are shown the rest."""

from typing import Final

MOST_TOOLS: Final = 1_000
"""Of one server or source: each is a definition that every process and Kafka keep, and a part of requests to models."""
MOST_OF_ONE: Final = 100_000
"""Characters of what is listed of one tool, its description and its schemas. They are a part of every request to a
model that may use it: one tool must not take the room of the others."""
MOST_SHOWN: Final = 5
"""Of what is left out, in one line."""
_LONGEST_SHOWN: Final = 60


def shown(name: str) -> str:
    """The beginning of a name of any characters, quoted."""
    return f"{name[:_LONGEST_SHOWN]!a}{'…' if len(name) > _LONGEST_SHOWN else ''}"


def problem_of_size(characters: int) -> str | None:
    """Why a tool of which so much is listed is left out."""
    if characters <= MOST_OF_ONE:
        return None
    return f"its description and schemas have {characters:,} characters, and {MOST_OF_ONE:,} are the most"
