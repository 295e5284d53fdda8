"""Names of tools: keys of Kafka, words of policies, playbooks and plans, and what people read."""

from typing import Final

LONGEST: Final = 200
"""Characters."""


def problem_of_tool_name(name: object) -> str | None:
    """Why it is no name of a tool; None for one."""
    if not isinstance(name, str) or not name:
        return "it is empty or no text: give the tool a name"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters; at most {LONGEST} are allowed"
    if " " in name or not name.isprintable():
        return "it has blanks or characters that cannot be printed: leave them out"
    return None
