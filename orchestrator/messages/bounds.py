"""The most that a task or a profile may say in numbers. Beyond them are mistakes, and numbers that no field holds."""

from typing import Final

LONGEST_DAYS: Final = 366
LONGEST_MS: Final = LONGEST_DAYS * 86_400_000
"""Of durations, and how far ahead a task may begin: what waits for longer waits for nobody. Schemas say the same."""
LONGEST_WAIT_MS: Final = 86_400_000
"""Of a wait that a failure asks for. Who asks for more is asked again after a day."""
MOST: Final = 2**31 - 1
"""Of anything that is counted: attempts, turns, steps, calls."""
MOST_TOKENS: Final = 10**15
MOST_USD: Final = 10**9
