"""For tests of tools, planners and whole agents: sessions in memory, with a clock that the test moves."""

from orchestrator.testing.cassettes import NotRecordedError, cassette
from orchestrator.testing.harness import Harness
from orchestrator.testing.session import HarnessSession

__all__ = ["Harness", "HarnessSession", "NotRecordedError", "cassette"]
