"""A value store whose calls hang until they are let go."""

import threading

from orchestrator.bus.deadline import Deadline


class HangingValues:
    """Reads of `hangs` do not return before `let_go` is set; all others return their content."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.hangs = "values:hangs"
        self.let_go = threading.Event()
        self.calls = threading.Semaphore(0)
        """Released by each call that begins to hang."""

    def write(self, content: bytes) -> str:
        self.content = content
        return "values:content"

    def read(self, uri: str, most: int, deadline: Deadline) -> bytes:  # noqa: ARG002 - as the port has it
        if uri == self.hangs:
            self.calls.release()
            self.let_go.wait()
        return self.content
