"""How much text a task may hold for itself. Every session that is under way is in memory, with its task."""

from collections.abc import Mapping
from typing import Final

LONGEST_GOAL: Final = 65_536
"""Characters of a goal. What an agent needs to know belongs into the context, which the value store may hold."""
LONGEST_NAME: Final = 255
"""Characters of ids, of the names in a task, and of a label's name and value: what the session store's tables hold."""
MOST_LABELS: Final = 64


def text_problems(goal: str, labels: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with the texts of a task, one line each."""
    problems = []
    if len(goal) > LONGEST_GOAL:
        problems.append(
            f"the goal has {len(goal):,} characters, and may have {LONGEST_GOAL:,}: "
            "say in the context what the agent needs to know"
        )
    labels = labels or {}
    if len(labels) > MOST_LABELS:
        problems.append(f"the task has {len(labels):,} labels, and may have {MOST_LABELS}")
    elif any(len(text) > LONGEST_NAME for label in labels.items() for text in label):
        problems.append(f"a label's name and value may have {LONGEST_NAME} characters each")
    return problems
