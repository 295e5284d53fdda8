"""What a run in a process of its own says of its end is data of somebody else."""

from orchestrator.sdk import failure_of
from orchestrator.sdk.failures import LONGEST_CODE
from orchestrator.sdk.isolation.outcome import raised


def test_a_failure_that_a_run_reports_can_be_sent_whatever_is_in_it() -> None:
    for is_own in (True, False):
        error = raised({"code": "\ud800" * 200, "message": "\ud800", "is_own": is_own})

        failure = failure_of(error, "tool_error")

        failure.code.encode()
        failure.message.encode()
        assert len(failure.code) <= LONGEST_CODE
