"""What holds for lists of tools, of servers and of other sources: how many count, and how people are shown the rest."""

from typing import Final

MOST_TOOLS: Final = 1_000
"""Of one server or source: each is a definition that every process and Kafka keep, and a part of requests to models."""
MOST_SHOWN: Final = 5
"""Of what is left out, in one line."""
_LONGEST_SHOWN: Final = 60


def shown(name: str) -> str:
    """The beginning of a name of any characters, quoted."""
    return f"{name[:_LONGEST_SHOWN]!a}{'…' if len(name) > _LONGEST_SHOWN else ''}"
