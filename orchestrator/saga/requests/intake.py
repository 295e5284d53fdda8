"""Submitted tasks: acceptance resolves everything that must not change later."""

from collections.abc import Iterable
from typing import Final

import msgspec

from orchestrator.messages import commands, events
from orchestrator.messages.bounds import LONGEST_DAYS, LONGEST_MS
from orchestrator.messages.limit_bounds import limit_problems
from orchestrator.messages.task_bounds import text_problems
from orchestrator.messages.types import AgentProfile, Failure, FailureKind, OriginalMessage
from orchestrator.saga.calls import micros
from orchestrator.saga.limits import resolved_limits
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session

DAY_MS: Final = 86_400_000


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A submitted task, with the profile of its agent as it is now (None: no such agent) and its record.

    `refusal` says why the task cannot be accepted, regardless of its fields. `repeats` is another session that has
    the tenant's business key, `previous` one that had it and is forgotten soon.
    """

    task: commands.SubmitTask
    profile: AgentProfile | None
    original: OriginalMessage
    refusal: Failure | None = None
    repeats: str | None = None
    previous: str | None = None

    @property
    def message_id(self) -> str:
        return self.task.command_id

    @property
    def agent(self) -> str:
        return self.task.agent

    @property
    def tenant(self) -> str:
        return self.task.tenant


def submit_task(session: Session | None, submission: Submission, now: int) -> Iterable[Draft]:
    """Accepts a task, or refuses it with the reason. A second task of the same session is dropped."""
    if session is not None and session.task is not None:
        return
    failure = submission.refusal or _refusal(submission, now)
    if failure is not None:
        repeats = submission.repeats
        yield draft(events.TaskRefused, failure=failure, submitted=submission.original, repeats=repeats)
        return
    task, profile = submission.task, submission.profile
    assert profile is not None  # noqa: S101 - refused above
    limits = resolved_limits(profile, task.limits)
    start = max(now, task.not_before or 0)
    deadline = start + micros(limits.deadline_ms or DAY_MS)
    yield draft(
        events.TaskReceived,
        goal=task.goal,
        context=task.context,
        memory=task.memory,
        key=task.key,
        playbook=task.playbook or profile.playbook,
        profile=profile,
        limits=limits,
        deadline_at=min(deadline, task.not_after or deadline),
        not_before=task.not_before,
        parent=task.parent,
        reply_to=task.reply_to,
        labels=task.labels,
        previous=submission.previous,
        submitted=submission.original,
    )


def _refusal(submission: Submission, now: int) -> Failure | None:
    task = submission.task
    if submission.repeats is not None:
        return _invalid(
            "repeated", f"the task of the key {task.key!r} is that of session {submission.repeats}: see there"
        )
    if not task.goal.strip():
        return _invalid("no_goal", "the task has no goal: say in words what is to be achieved")
    if problems := text_problems(task.goal, task.labels):
        return _invalid("text_too_long", "; ".join(problems))
    if submission.profile is None:
        return _invalid(
            "unknown_agent",
            f"there is no agent {task.agent}: apply its profile with `orchestrator agents apply`, "
            "or name one that exists",
        )
    if task.not_after is not None and task.not_after <= now:
        return _invalid(
            "expired", "the task's not_after had passed before it was accepted: submit it with a later one"
        )
    if (task.not_before or 0) > now + micros(LONGEST_MS):
        return _invalid(
            "too_far_ahead",
            f"the task's not_before is more than {LONGEST_DAYS} days ahead: submit it later. Times are Unix time in "
            "microseconds",
        )
    # Of the agent too: whoever may write `definitions` need not have used the command that checks profiles.
    if problems := limit_problems(resolved_limits(submission.profile, task.limits)):
        return _invalid("limit_out_of_range", "; ".join(problems))
    return None


def _invalid(code: str, message: str) -> Failure:
    return Failure(kind=FailureKind.INVALID_INPUT, code=code, message=message)
