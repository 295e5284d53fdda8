"""The time of this machine."""

import time


def unix_micros() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1000
