"""The ranges of the limits of a task or an agent."""

from typing import Final

from orchestrator.messages.bounds import LONGEST_MS, MOST, MOST_TOKENS, MOST_USD
from orchestrator.messages.types import Limits

_LIMITS: Final = {
    "deadline_ms": (0, LONGEST_MS),
    "step_timeout_ms": (0, LONGEST_MS),
    "tool_calls": (0, MOST),
    "tokens": (0, MOST_TOKENS),
    "cost_micro_usd": (0, MOST_USD * 1_000_000),
    "parallel_steps": (1, MOST),
    "turns": (1, MOST),
}


def limit_problems(limits: Limits) -> list[str]:
    """What is wrong with the limits of a task or an agent, one line for each number that is out of range."""
    return [
        f"limits.{name} must be from {least} to {most}"
        for name, (least, most) in _LIMITS.items()
        if (value := getattr(limits, name)) is not None and not least <= value <= most
    ]
