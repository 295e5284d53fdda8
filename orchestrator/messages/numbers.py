"""Which written numbers a DOUBLE keeps: JSON has no other numbers with fractions that all readers take alike."""

import re
from typing import Final

SURE_DIGITS: Final = 15
"""A DOUBLE keeps as many of every number."""
MOST_DIGITS: Final = 17
"""As many name one DOUBLE, so programs that write them write no more."""
LEAST_NORMAL: Final = 2.2250738585072014e-308
"""A DOUBLE nearer to zero keeps fewer digits."""


def keeps_digits(number: str) -> bool:
    """Whether a DOUBLE keeps all digits of a decimal number: written with as many, it is the same number again. It
    keeps none of a number that is too large for it."""
    if len(number) <= SURE_DIGITS and "e" not in number and "E" not in number:
        return True
    digits = re.split("[eE]", number, maxsplit=1)[0].lstrip("+-").replace(".", "").strip("0")
    if not digits:
        return True
    if len(digits) > MOST_DIGITS or abs(float(number)) < LEAST_NORMAL:
        return False
    written = f"{abs(float(number)):.{len(digits) - 1}e}".partition("e")[0]
    return written.replace(".", "") == digits
