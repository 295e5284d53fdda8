"""`orchestrator submit`: hands a task in, and waits for what comes of it if told to."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from orchestrator.cli import times
from orchestrator.cli.common import command
from orchestrator.cli.output import write_json, write_line, write_note, write_result
from orchestrator.cli.shell import Shell
from orchestrator.cli.traces import note_trace, traced
from orchestrator.cli.watching import event_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.app.wiring import Wiring
    from orchestrator.client import Handle

STDIN: Final = "-"


@dataclass(frozen=True)
class _Waiting:
    """Whether and how somebody waits for the result."""

    wanted: bool
    timeout_s: float | None
    progress: bool


@command
def submit(
    shell: Shell,
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What shall be reached, in words.")],
    context: Annotated[
        str, typer.Option(metavar="FILE", help="JSON object with what the agent needs to know; - is stdin.")
    ] = "",
    playbook: Annotated[str, typer.Option(help="Playbook to follow.")] = "",
    agent: Annotated[str, typer.Option(help="Agent that shall do it.")] = "default",
    tenant: Annotated[str, typer.Option(help="Whose task it is.")] = "default",
    key: Annotated[
        str, typer.Option(help="What the task is to its tenant: two with one key are one task.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Free label; may be given several times.")
    ] = None,
    deadline: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION", parser=times.duration_ms, help="Wall time from acceptance to the end."
        ),
    ] = None,
    step_timeout: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION", parser=times.duration_ms, help="Time limit of tools that name none."
        ),
    ] = None,
    tool_calls: Annotated[
        int | None, typer.Option(min=0, help="Tool runs at most, retries included.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="Tokens at most, all models together.")] = None,
    cost_usd: Annotated[float | None, typer.Option(min=0, help="Cost at most, in US dollars.")] = None,
    parallel_steps: Annotated[int | None, typer.Option(min=1, help="Steps side by side at most.")] = None,
    not_before: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ahead, help="Not to be started earlier: 10m, or a time."),
    ] = None,
    not_after: Annotated[
        int | None, typer.Option(metavar="TIME", parser=times.ahead, help="Worthless later: 10m, or a time.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it has settled, and print the result.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="DURATION", parser=times.seconds, help="With --wait: wait no longer than that."),
    ] = None,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress", help="Show what happens on stderr. [default: in a terminal]"
        ),
    ] = None,
) -> None:
    """Hands a task in.

    Prints the id of its session; with --wait what it returns.
    """
    import asyncio

    from orchestrator.messages.types import Limits

    if timeout is not None and not wait:
        raise typer.BadParameter("it says how long --wait waits: give both", param_hint="'--timeout'")
    limits = Limits(
        deadline_ms=deadline,
        step_timeout_ms=step_timeout,
        tool_calls=tool_calls,
        tokens=tokens,
        cost_micro_usd=None if cost_usd is None else round(cost_usd * 1_000_000),
        parallel_steps=parallel_steps,
    )
    task = {
        "goal": goal,
        "context": _read_context(context) if context else None,
        "playbook": playbook,
        "agent": agent,
        "tenant": tenant,
        "key": key,
        "labels": dict(map(_label, label or ())),
        "limits": None if limits == Limits() else limits,
        "not_before": not_before,
        "not_after": not_after,
    }
    waiting = _Waiting(wait, timeout, sys.stderr.isatty() if progress is None else progress)
    asyncio.run(_submit(shell, shell.wiring(), task, waiting))


async def _submit(shell: Shell, wiring: "Wiring", task: dict[str, Any], waiting: _Waiting) -> None:
    from orchestrator.client import Client

    async with Client(wiring, timeout_s=shell.timeout_s) as client:
        handle = await client.submit(**task)
        session = handle.correlation_id
        submitted = {"correlation_id": session, **traced(wiring.settings, session)}
        if not shell.writes_json:
            note_trace(wiring.settings, session)
        if waiting.wanted:
            await _wait(shell, handle, waiting, submitted)
        elif shell.writes_json:
            write_json(submitted)
        else:
            write_line(session)


async def _wait(shell: Shell, handle: "Handle", waiting: _Waiting, submitted: "Mapping[str, str]") -> None:
    """Shows the session's way, then its result. Raises what the session settled with instead of a result."""
    import asyncio

    from msgspec import to_builtins

    from orchestrator.client import TaskError
    from orchestrator.messages.base import SessionEvent
    from orchestrator.sessions.projection import PHASES

    session = handle.correlation_id
    outcome: dict[str, Any] = {**submitted, "phase": None, "result": None}
    try:
        async with asyncio.timeout(waiting.timeout_s):
            if waiting.progress:
                write_note(f"session {session}")
                async for event in handle.events():
                    write_note(event_line(event))
            end = await handle.settled()
        outcome["phase"] = PHASES.get(type(end), "refused") if isinstance(end, SessionEvent) else None
        outcome["result"] = await handle.result()
    except TimeoutError:
        raise TimeoutError(
            f"session {session} has not settled within {waiting.timeout_s:g} s; it goes on: "
            f"`orchestrator sessions watch {session}` follows it, `orchestrator cancel {session}` ends it"
        ) from None
    except TaskError as error:
        outcome["failure"] = to_builtins(error.failure)
        raise
    except asyncio.CancelledError:
        write_note(f"session {session} goes on: `orchestrator cancel {session}` ends it")
        raise
    finally:
        if shell.writes_json:
            write_json(outcome)
    if not shell.writes_json:
        write_result(outcome["result"])


def _read_context(source: str) -> dict[str, Any]:
    """The JSON object in a file, or on stdin. Raises `BadParameter` that says what is wrong with it."""
    import json

    name = "stdin" if source == STDIN else source
    try:
        text = sys.stdin.read() if source == STDIN else Path(source).read_text(encoding="utf-8")
        content = json.loads(text)
    except FileNotFoundError:
        raise _bad_context(
            f"there is no file {name}: write the path of a JSON file, or - for stdin"
        ) from None
    except OSError as error:
        raise _bad_context(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _bad_context(f"{name} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise _bad_context(
            f"{name} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(content, dict):
        raise _bad_context(f'{name} holds no JSON object: write one such as {{"log": "access.log"}}')
    return content


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is no label: write NAME=VALUE", param_hint="'--label'")
    return name, value


def _bad_context(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="'--context'")
