"""What follows when the outputs of an input exceed the size limit."""

from typing import Protocol

from msgspec.structs import replace

from orchestrator.bus.ports import Received
from orchestrator.delivery.failed_replies import TOO_LARGE, failed_reply
from orchestrator.delivery.originals import bounded
from orchestrator.engine.quarantine import quarantine_failure
from orchestrator.engine.staged_output import StagedOutput
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.saga import Input, Submission


class Batch(Protocol):
    """The staged batch, as far as it is needed here."""

    @property
    def output(self) -> StagedOutput: ...

    def handle(
        self, partition: int, correlation_id: str, input: Input, received: Received | None = None
    ) -> None: ...

    def quarantine(
        self, partition: int, correlation_id: str, reason: str, code: str, received: Received | None = None
    ) -> None: ...


def handle_too_large(
    batch: Batch, partition: int, correlation_id: str, input: Input, received: Received | None, problem: str
) -> None:
    """Refuses the task, or fails the call. A session is not to blame for what people send it: such a request alone is
    dead-lettered."""
    if isinstance(input, Submission) and input.refusal is None:
        batch.handle(partition, correlation_id, _refused(input, problem), received)
    elif received is not None and received.topic is Topic.CONTROL:
        batch.output.dead_letter(received, quarantine_failure(TOO_LARGE, problem), "decide", problem)
    elif not _fail_call(batch, partition, input, problem):
        batch.quarantine(partition, correlation_id, problem, TOO_LARGE, received)


def _refused(input: Submission, problem: str) -> Submission:
    """The submission as one to refuse. Only the beginning of its record is kept."""
    failure = Failure(kind=FailureKind.INVALID_INPUT, code=TOO_LARGE, message=problem)
    return replace(input, refusal=failure, original=bounded(input.original))


def _fail_call(batch: Batch, partition: int, input: Input, problem: str) -> bool:
    """Writes the failure that replaces a reply. False for what is no reply, and for one whose failure is too large as
    well, since whoever replies chooses how long its names are."""
    failure = failed_reply(input, problem, batch.output.now)
    try:
        if failure is not None:
            batch.output.write(failure, partition)
    except ContractError:
        return False
    return failure is not None
