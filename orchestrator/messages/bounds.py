"""The most that a task or a profile may say in numbers. Beyond them are mistakes, and numbers that no field holds."""

from typing import Final

from orchestrator.messages.types import Limits

LONGEST_DAYS: Final = 366
LONGEST_MS: Final = LONGEST_DAYS * 86_400_000
"""Of durations, and how far ahead a task may begin: what waits for longer waits for nobody. Schemas say the same."""
LONGEST_WAIT_MS: Final = 86_400_000
"""Of a wait that a failure asks for. Who asks for more is asked again after a day."""
MOST: Final = 2**31 - 1
"""Of anything that is counted: attempts, turns, steps, calls."""
MOST_TOKENS: Final = 10**15
MOST_USD: Final = 10**9
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
