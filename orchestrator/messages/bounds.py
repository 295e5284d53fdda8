"""The most that a task or a profile may say in numbers. Beyond them are mistakes, and numbers that no field holds."""

from typing import Final

LONGEST_DAYS: Final = 36_500
LONGEST_MS: Final = LONGEST_DAYS * 86_400_000
"""Of durations: a hundred years. A time that is so far away still has a year of four digits."""
MOST: Final = 2**31 - 1
"""Of anything that is counted: attempts, turns, steps, calls."""
MOST_TOKENS: Final = 10**15
MOST_USD: Final = 10**9
