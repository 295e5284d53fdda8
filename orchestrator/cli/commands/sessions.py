"""`orchestrator sessions`: lists sessions, shows one, and watches events."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import times
from orchestrator.cli.common import command
from orchestrator.cli.events import event_line
from orchestrator.cli.lookup import SessionId, session_id, store_if_available
from orchestrator.cli.output import (
    MOST_ROWS,
    write_fields,
    write_line,
    write_note,
    write_result,
    write_table,
    write_warnings,
)
from orchestrator.cli.shell import Shell
from orchestrator.messages.bounds import MOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.app.wiring import Wiring
    from orchestrator.messages.base import Event
    from orchestrator.operations.following import ExpectedSession
    from orchestrator.sessions.projection import SessionRow
    from orchestrator.sessions.view import SessionView

app = typer.Typer(help="Sessions: list them, show one, watch events.", no_args_is_help=True)

FromLog = Annotated[bool, typer.Option("--from-log", help="Read the topics instead of the session store.")]
At = Annotated[
    int | None,
    typer.Option(metavar="SEQUENCE", min=1, max=MOST, help="Show the session as it was after this event."),
]


@app.command("list")
@command
def list_sessions(
    shell: Shell,
    phase: Annotated[str, typer.Option(help="Only those in this phase, such as executing or failed.")] = "",
    agent: Annotated[str, typer.Option(help="Only those of this agent.")] = "",
    tenant: Annotated[str, typer.Option(help="Only those of this tenant.")] = "",
    key: Annotated[str, typer.Option(help="Only those of this business key.")] = "",
    since: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ago, help="Only those started since then: 2h, or a time."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Show at most this many.")] = 50,
) -> None:
    """Shows sessions, the newest first."""
    from contextlib import closing

    from orchestrator.operations.documents import session_document
    from orchestrator.sessions.queries import Wanted, listed

    wanted = Wanted(phase=phase, agent=agent, tenant=tenant, key=key, since=since or 0, limit=limit)
    with closing(shell.open_store()) as store:
        rows = listed(store, wanted)
    shell.show(rows, lambda rows: [session_document(row) for row in rows], _write_rows)


@app.command()
@command
def show(
    shell: Shell,
    session: SessionId,
    from_log: FromLog = False,
    at: At = None,
) -> None:
    """Shows one session.

    Its plan, steps, usage, timeline and result.
    """
    from msgspec import to_builtins

    from orchestrator.operations.documents import with_trace
    from orchestrator.operations.sessions import show_session

    events = _events(shell, session, from_log)
    settings = shell.settings()
    shown = show_session(events, at, settings.values().fetched)
    write_warnings(shown.warnings)
    view = shown.view
    trace = settings.trace_link(view.correlation_id)
    shell.show(
        view,
        lambda view: with_trace(to_builtins(view), trace),
        lambda view: _write_view(view, trace),
    )


@app.command()
@command
def conversation(
    shell: Shell,
    session: SessionId,
    from_log: FromLog = False,
    at: At = None,
    full: Annotated[
        bool, typer.Option("--full", help="Show everything that was said, and the values it refers to.")
    ] = False,
) -> None:
    """Shows the conversation of a session's planner.

    What the user, the model and the tools said, turn by turn. Long texts are cut, and large values are
    shown by their size and place, unless --full is given.
    """
    from orchestrator.cli.conversations import write_conversation
    from orchestrator.operations.conversations import show_conversation
    from orchestrator.operations.documents import conversation_document

    events = _events(shell, session, from_log)
    found = show_conversation(events, at, shell.settings().values().fetched, full=full)
    write_warnings(found.warnings)
    shell.show(found, conversation_document, lambda found: write_conversation(found, full=full))


@app.command()
@command
def watch(
    shell: Shell,
    session: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", parser=session_id, help="The session's id, or the beginning of it."),
    ] = None,
) -> None:
    """Shows events as they happen.

    Those of one session from its beginning until it settles, and what its tools and models do from now on; those of
    all sessions from now on.
    """
    wiring = shell.wiring()
    if session is None:
        _watch_all(shell, wiring)
    else:
        _watch_one(shell, wiring, session)


def _events(shell: Shell, given: str, from_log: bool) -> "Sequence[Event]":
    return _logged(shell, given) if from_log else _recorded(shell, given)


def _recorded(shell: Shell, given: str) -> "list[Event]":
    from contextlib import closing

    from orchestrator.operations.sessions import recorded_events

    with closing(shell.open_store()) as store:
        return recorded_events(store, given)


def _logged(shell: Shell, given: str) -> "Sequence[Event]":
    from orchestrator.operations.sessions import logged_events

    wiring = shell.wiring()
    with store_if_available(shell) as store:
        logged = logged_events(wiring, store, given, shell.timeout_s)
    write_warnings(logged.problems)
    return logged.events


def _watch_one(shell: Shell, wiring: "Wiring", given: str) -> None:
    import asyncio

    from orchestrator.operations.following import expect_session

    with store_if_available(shell) as store:
        session = expect_session(wiring, store, given, shell.timeout_s)
    asyncio.run(_follow(shell, wiring, session))


async def _follow(shell: Shell, wiring: "Wiring", session: "ExpectedSession") -> None:
    import sys
    from contextlib import AsyncExitStack

    from orchestrator.cli.following import TerminalWriter, progress_shown
    from orchestrator.client import Client
    from orchestrator.operations.documents import event_document, progress_document
    from orchestrator.operations.following import follow

    def write(event: "Event") -> None:
        shell.show_item(event, event_document, event_line)

    writer = TerminalWriter(write)

    def write_progress(report: "Event") -> None:
        if shell.writes_json:
            shell.show_item(report, progress_document, event_line)
        else:
            writer.progress(report)

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(wiring, timeout_s=shell.timeout_s))
        handle = await client.follow(session.correlation_id)
        if shell.writes_json or sys.stderr.isatty():
            await stack.enter_async_context(progress_shown(handle, write_progress))
        stack.callback(writer.end)
        async for event in follow(handle, session):
            writer.event(event)


def _watch_all(shell: Shell, wiring: "Wiring") -> None:
    from orchestrator.operations.documents import event_document
    from orchestrator.operations.following import tail

    for event in tail(wiring):
        shell.show_item(event, event_document, lambda event: f"{event.correlation_id}  {event_line(event)}")


def _write_rows(rows: "Sequence[SessionRow]") -> None:
    if not rows:
        write_note("no sessions found in the session store; `orchestrator run session-recorder` records them")
        return
    headings = ("session", "phase", "agent", "goal", "started", "took", "calls", "tokens", "cost")
    write_table(headings, map(_cells, rows), cut=("goal",))


def _cells(row: "SessionRow") -> tuple[str, ...]:
    from orchestrator.sessions.summaries import duration

    return (
        row.correlation_id,
        row.phase,
        row.agent,
        row.goal,
        times.shown(row.started_at),
        duration(((row.ended_at or row.updated_at) - row.started_at) // 1000),
        str(row.tool_calls),
        f"{row.tokens:,}",
        f"${row.cost_micro_usd / 1_000_000:.4f}",
    )


def _write_view(view: "SessionView", trace: str) -> None:
    write_fields(
        [
            ("session", view.correlation_id),
            ("phase", view.phase),
            ("agent", view.agent),
            ("goal", view.goal),
            ("plan", _plan(view.plan) if view.plan else ""),
            ("used", _used(view)),
            ("trace", trace),
        ]
    )
    if view.steps:
        write_line("")
        rows = [(step.id, step.tool, step.status, str(step.attempts)) for step in view.steps]
        write_table(("step", "tool", "status", "attempts"), rows)
    write_line("")
    entries = [
        (str(entry.sequence or ""), times.shown_text(entry.occurred_at), entry.type, entry.summary)
        for entry in view.timeline
    ]
    write_table(("#", "time", "event", "summary"), entries, folded=("summary",))
    if view.result is not None:
        write_line("")
        write_result(view.result)


def _plan(plan: "Mapping[str, Any]") -> str:
    turn = f", turn {plan['turn']}" if plan["turn"] > 1 else ""
    return f"revision {plan['revision']}{turn}, {plan['playbook'] or plan['planner']}"


def _used(view: "SessionView") -> str:
    requests = f"{view.model_requests} model requests, " if view.model_requests else ""
    cached = f" ({view.tokens_cached:,} cached)" if view.tokens_cached else ""
    return f"{view.tool_calls} tool calls, {requests}{view.tokens:,} tokens{cached}, ${view.cost:.4f}"
