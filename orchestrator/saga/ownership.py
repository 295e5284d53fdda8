"""Whether an input is for a session: whoever may write to a topic knows, or can guess, the ids of other sessions."""

from orchestrator.messages import commands, events
from orchestrator.messages.types import CallKind
from orchestrator.saga.inputs import Input, TimePassed
from orchestrator.saga.requests import Submission
from orchestrator.saga.state import Session


def mismatch(session: Session, input: Input) -> str | None:
    """Why the input belongs to something else than this session, which has a task; None if it is the session's."""
    if isinstance(input, TimePassed) or session.task is None:
        return None
    if input.tenant != session.tenant:
        return f"session {session.correlation_id} is of another tenant than {input.tenant!r}"
    if isinstance(input, Submission):
        if input.task.key != session.task.key:
            return f"session {session.correlation_id} does the task of another business key"
        return None
    if isinstance(input, commands.CancelTask):
        return None
    if input.agent != session.agent:
        return f"session {session.correlation_id} is of another agent than {input.agent!r}"
    if isinstance(input, events.ToolCompleted | events.ToolFailed):
        return _other_tool(session, input)
    return None


def _other_tool(session: Session, reply: events.ToolCompleted | events.ToolFailed) -> str | None:
    """A reply may be read before the selection of its tool, which another service wrote."""
    call = session.calls.get(reply.call.call_id)
    is_running = call is not None and call.kind is CallKind.TOOL
    asked = call.tool if call is not None and is_running else reply.call.tool
    if reply.tool == asked:
        return None
    return f"the call was for the tool {asked!r}, the reply is of {reply.tool!r}"
