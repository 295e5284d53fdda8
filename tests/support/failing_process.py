"""A process with one worker, to be killed: `python -m tests.support.failing_process SERVERS PREFIX JOURNAL`.

Appends the number of each call to the journal when it starts. The first calls of each hundred raise everything that
code may raise, by their numbers, or start a task that does; all others are completed.
"""

import asyncio
import sys
import threading
from pathlib import Path

from tests.support.raised import RAISED
from tests.support.workers import Lab, echo, lab_settings

MAKERS = tuple(RAISED.values())
STARTS_A_TASK = len(MAKERS)
FAILING = len(MAKERS)
"""How many of the calls of each hundred fail: the one that starts a task is completed."""


def main(servers: str, prefix: str, journal: Path) -> None:
    lab = Lab(lab_settings(servers, prefix, 1, session_timeout_ms="6000"))

    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def fail(number: int) -> None:
        with journal.open("a") as lines:
            lines.write(f"{number}\n")
        kind = number % 100
        if kind < FAILING:
            raise MAKERS[kind]()
        if kind == STARTS_A_TASK:
            await asyncio.wait([asyncio.create_task(interrupt())])

    with lab.running(echo(before=fail)):
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
