"""`orchestrator submit`: submits a task, and waits for its outcome with `--wait`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from orchestrator.cli import times
from orchestrator.cli.common import command
from orchestrator.cli.events import event_line
from orchestrator.cli.output import ResultLostError, write_line, write_note, write_result
from orchestrator.cli.shell import Shell
from orchestrator.messages.bounds import MOST, MOST_TOKENS, MOST_USD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.app.wiring import Wiring
    from orchestrator.client import Handle
    from orchestrator.operations.tasks import Outcome, Task

STDIN: Final = "-"
_ACCEPTANCE_S: Final = 10.0
"""How long a task with a business key may wait for the orchestrator before its id is printed anyway."""


@dataclass(frozen=True)
class _Waiting:
    """Whether and how the command waits for the outcome."""

    wanted: bool
    timeout_s: float | None
    progress: bool


@command
def submit(
    shell: Shell,
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What to achieve, in words.")],
    context: Annotated[
        str, typer.Option(metavar="FILE", help="JSON object with what the agent needs to know; - is stdin.")
    ] = "",
    playbook: Annotated[str, typer.Option(help="Playbook to follow.")] = "",
    agent: Annotated[str, typer.Option(help="Agent that does the task.")] = "default",
    tenant: Annotated[str, typer.Option(help="Tenant that owns the task.")] = "default",
    key: Annotated[
        str,
        typer.Option(
            help="Business key within the tenant: a second task with it, within a week, is the first."
        ),
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Free label; may be given several times.")
    ] = None,
    deadline: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION", parser=times.duration_ms, help="Maximum time from acceptance to the end."
        ),
    ] = None,
    step_timeout: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION", parser=times.duration_ms, help="Timeout of tools that have none of their own."
        ),
    ] = None,
    tool_calls: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Maximum number of tool calls, retries included.")
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_TOKENS, help="Maximum number of tokens, all models together."),
    ] = None,
    cost_usd: Annotated[
        float | None, typer.Option(min=0, max=MOST_USD, help="Maximum cost in US dollars.")
    ] = None,
    parallel_steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Maximum number of steps in parallel.")
    ] = None,
    turns: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Maximum number of turns of the planner.")
    ] = None,
    not_before: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ahead, help="Do not start before then: 10m, or a time."),
    ] = None,
    not_after: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ahead, help="Fail if not ended by then: 10m, or a time."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the session settles, and print the result.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="DURATION", parser=times.seconds, help="With --wait: wait at most this long."),
    ] = None,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Show events, and what models write, on stderr. [default: in a terminal]",
        ),
    ] = None,
) -> None:
    """Submits a task.

    Prints the id of its session; with --wait the result.
    """
    import asyncio

    from orchestrator.operations.tasks import Task

    if timeout is not None and not wait:
        raise typer.BadParameter("it limits how long --wait waits: add --wait", param_hint="'--timeout'")
    task = Task(
        goal=goal,
        context=_read_context(context) if context else None,
        agent=agent,
        playbook=playbook,
        tenant=tenant,
        key=key,
        labels=dict(map(_label, label or ())),
        deadline_ms=deadline,
        step_timeout_ms=step_timeout,
        tool_calls=tool_calls,
        tokens=tokens,
        cost_usd=cost_usd,
        parallel_steps=parallel_steps,
        turns=turns,
        not_before=not_before,
        not_after=not_after,
    )
    waiting = _Waiting(wait, timeout, sys.stderr.isatty() if progress is None else progress)
    asyncio.run(_submit(shell, shell.wiring(), task, waiting))


async def _submit(shell: Shell, wiring: "Wiring", task: "Task", waiting: _Waiting) -> None:
    from orchestrator.client import Client
    from orchestrator.operations.documents import with_trace
    from orchestrator.operations.tasks import submit as submit_task

    async with Client(wiring, timeout_s=shell.timeout_s) as client:
        handle = await submit_task(client, task, progress=waiting.wanted and waiting.progress)
        if task.key:
            await _wait_for_acceptance(handle)
        session = handle.correlation_id
        trace = wiring.settings.trace_link(session)
        submitted = with_trace({"correlation_id": session}, trace)
        if trace:
            # On stderr: a pipe gets the session's id, or the result, alone.
            shell.show_text(lambda: write_note(f"trace {trace}"))
        if waiting.wanted:
            await _wait(shell, handle, waiting, submitted)
        else:
            shell.show_done(
                f"session {session} was submitted", session, lambda _session: submitted, write_line
            )


async def _wait_for_acceptance(handle: "Handle") -> None:
    """Only the platform knows whether another session does the task already."""
    try:
        await handle.accepted(_ACCEPTANCE_S)
    except TimeoutError:
        write_note(
            f"no orchestrator has accepted the task within {_ACCEPTANCE_S:g} s; if it repeats another one, "
            "`orchestrator sessions show` will say so"
        )


async def _wait(shell: Shell, handle: "Handle", waiting: _Waiting, submitted: "Mapping[str, Any]") -> None:
    """Shows the session's events, then its result. Raises the error that it settled with instead."""
    import asyncio

    from orchestrator.operations.documents import outcome_document
    from orchestrator.operations.tasks import Outcome, outcome_of

    session = handle.correlation_id
    outcome, has_failed = Outcome(), True
    try:
        async with asyncio.timeout(waiting.timeout_s):
            if waiting.progress:
                await _show_progress(handle)
            await handle.settled()
        # The result of a settled session may take its time.
        outcome = await outcome_of(handle)
        has_failed = outcome.error is not None
    except TimeoutError:
        raise TimeoutError(
            f"session {session} did not settle within {waiting.timeout_s:g} s and continues: "
            f"`orchestrator sessions watch {session}` follows it, `orchestrator cancel {session}` cancels it"
        ) from None
    except asyncio.CancelledError:
        write_note(f"session {session} continues: `orchestrator cancel {session}` cancels it")
        raise
    finally:
        # Programs get a document however the wait ends.
        try:
            shell.show_done(
                f"session {session} has completed (`orchestrator sessions show {session}` shows its result)"
                if outcome.is_completed
                else f"the task is session {session}",
                outcome,
                lambda outcome: {**submitted, **outcome_document(outcome)},
                _write_outcome,
            )
        except ResultLostError as error:
            # How the session ended counts for more than who hears of it.
            if not has_failed:
                raise
            write_note(f"warning: {error}")
    if outcome.error is not None:
        raise outcome.error


async def _show_progress(handle: "Handle") -> None:
    from orchestrator.cli.following import TerminalWriter, progress_shown

    write_note(f"session {handle.correlation_id}")
    writer = TerminalWriter(lambda event: write_note(event_line(event)))
    try:
        async with progress_shown(handle, writer.progress):
            async for event in handle.events():
                writer.event(event)
    finally:
        writer.end()


def _write_outcome(outcome: "Outcome") -> None:
    if outcome.is_completed:
        write_result(outcome.result)


def _read_context(source: str) -> dict[str, Any]:
    """The JSON object in a file, or on stdin. Raises `BadParameter` that says what is wrong with it."""
    import json

    from orchestrator.operations.strict_json import strict_json

    name = "stdin" if source == STDIN else source
    try:
        text = sys.stdin.read() if source == STDIN else Path(source).read_text(encoding="utf-8")
        content = strict_json(text)
    except FileNotFoundError:
        raise _bad_context(f"file {name} not found: write the path of a JSON file, or - for stdin") from None
    except OSError as error:
        raise _bad_context(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _bad_context(f"{name} is not UTF-8 text") from None
    except RecursionError:
        raise _bad_context(f"{name} is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _bad_context(
            f"{name} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError as error:
        raise _bad_context(f"{name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise _bad_context(f'{name} does not hold a JSON object: write one such as {{"log": "access.log"}}')
    return content


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not a label: write NAME=VALUE", param_hint="'--label'")
    return name, value


def _bad_context(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="'--context'")
