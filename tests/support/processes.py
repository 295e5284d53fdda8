"""Processes of tests, and how long to wait for them."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

PATIENCE_S: Final = 180.0
"""How long whole processes may take for what takes them seconds on a quiet machine."""


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """A process that is waited for at the end of the block. It is killed if the block fails: nothing would end it
    then, and the failure would never be seen."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
