"""A process with one worker, to be killed: `python -m tests.support.worker_process SERVERS PREFIX JOURNAL`.

Appends the number of each call to the journal when it starts, and completes it, except number 0, which hangs.
"""

import asyncio
import sys
import threading
from pathlib import Path

from tests.support.workers import Lab, echo, lab_settings


def main(servers: str, prefix: str, journal: Path) -> None:
    lab = Lab(lab_settings(servers, prefix, 1, session_timeout_ms="6000"))

    async def note(number: int) -> None:
        with journal.open("a") as lines:
            lines.write(f"{number}\n")
        if number == 0:
            await asyncio.Event().wait()

    with lab.running(echo(before=note)):
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
