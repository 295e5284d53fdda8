"""`orchestrator sessions`: what has been done, what is being done, and how one session came about."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import times
from orchestrator.cli.common import command
from orchestrator.cli.lookup import SessionId, existing, open_store, recorded, session_id
from orchestrator.cli.output import (
    write_fields,
    write_json,
    write_line,
    write_note,
    write_result,
    write_table,
)
from orchestrator.cli.shell import Shell
from orchestrator.cli.traces import traced
from orchestrator.cli.watching import watch_all, watch_one
from orchestrator.operations.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.messages.base import Event
    from orchestrator.sessions.projection import SessionRow
    from orchestrator.sessions.view import SessionView

app = typer.Typer(help="Sessions: list them, look at one, watch them.", no_args_is_help=True)


@app.command("list")
@command
def list_sessions(
    shell: Shell,
    phase: Annotated[str, typer.Option(help="Only those in this phase, such as executing or failed.")] = "",
    agent: Annotated[str, typer.Option(help="Only those of this agent.")] = "",
    tenant: Annotated[str, typer.Option(help="Only those of this tenant.")] = "",
    since: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ago, help="Only those begun since then: 2h, or a time."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """Shows the newest sessions first."""
    from orchestrator.sessions.queries import Wanted, listed

    store = open_store()
    try:
        rows = listed(store, Wanted(phase=phase, agent=agent, tenant=tenant, since=since or 0, limit=limit))
    finally:
        store.close()
    if shell.writes_json:
        write_json([_row_document(row) for row in rows])
        return
    if not rows:
        write_note("no session is recorded that fits; `orchestrator run session-recorder` records them")
        return
    headings = ("session", "phase", "agent", "goal", "started", "took", "calls", "tokens", "cost")
    write_table(headings, map(_cells, rows), cut=("goal",))


@app.command()
@command
def show(
    shell: Shell,
    session: SessionId,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="Read the topics themselves, not the session store.")
    ] = False,
    at: Annotated[
        int | None,
        typer.Option(metavar="SEQUENCE", min=1, help="As it was when that event had happened."),
    ] = None,
) -> None:
    """Shows one session.

    Its plan, steps, usage, timeline and result.
    """
    from orchestrator.sessions.timeline import until

    events = _logged(shell, session) if from_log else _recorded(session)
    view = _view(shell, events if at is None else until(events, at), at)
    settings = shell.settings()
    if shell.writes_json:
        from msgspec import to_builtins

        write_json({**to_builtins(view), **traced(settings, view.correlation_id)})
    else:
        _write_view(view, settings.trace_link(view.correlation_id))


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

    Those of one session come from its beginning until it has settled; those of all from now on.
    """
    wiring = shell.wiring()
    if session is None:
        watch_all(shell, wiring)
        return
    watch_one(shell, wiring, session)


def _recorded(given: str) -> "list[Event]":
    from orchestrator.sessions.queries import recorded_events

    store = open_store()
    try:
        row = recorded(store, given)
        if row is None:
            raise NotFoundError(
                f"the session store has no session {given}: add --from-log to read the topics themselves; "
                "`orchestrator sessions list` shows what is recorded, `orchestrator run session-recorder` records"
            )
        return recorded_events(store, row.correlation_id)
    finally:
        store.close()


def _logged(shell: Shell, given: str) -> "list[Event]":
    from orchestrator.sessions.log import logged_events

    wiring = shell.wiring()
    found = existing(wiring, given, shell.timeout_s).correlation_id
    logged = logged_events(wiring.bus, wiring.codec, found, timeout_s=shell.timeout_s)
    for problem in logged.problems:
        write_note(f"warning: {problem}")
    return list(logged.events)


def _view(shell: Shell, events: "Sequence[Event]", at: int | None) -> "SessionView":
    from orchestrator.errors import ContractError, UnavailableError
    from orchestrator.sessions.replay import replay
    from orchestrator.sessions.view import view_of

    replayed = replay(events, at)
    for problem in replayed.problems:
        write_note(f"warning: the history is damaged: {problem}")
    if replayed.session is None:
        raise NotFoundError("only what services report is there of this session, its own history is not")
    values = shell.settings().values()
    try:
        return view_of(replayed.session, events, values.fetched)
    except (ContractError, UnavailableError) as error:
        write_note(f"warning: the result cannot be read: {error}")
        return view_of(replayed.session, events)


def _write_view(view: "SessionView", trace: str) -> None:
    used = f"{view.tool_calls} tool calls, {view.tokens:,} tokens, ${view.cost:.4f}"
    plan = (
        f"revision {view.plan['revision']}, {view.plan['playbook'] or view.plan['planner']}"
        if view.plan
        else ""
    )
    write_fields(
        [
            ("session", view.correlation_id),
            ("phase", view.phase),
            ("agent", view.agent),
            ("goal", view.goal),
            ("plan", plan),
            ("used", used),
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


def _row_document(row: "SessionRow") -> dict[str, Any]:
    from orchestrator.bus.headers import rfc3339

    return {
        "correlation_id": row.correlation_id,
        "phase": row.phase,
        "goal": row.goal,
        "agent": row.agent,
        "tenant": row.tenant,
        "started_at": rfc3339(row.started_at),
        "updated_at": rfc3339(row.updated_at),
        "ended_at": None if row.ended_at is None else rfc3339(row.ended_at),
        "revision": row.revision,
        "tool_calls": row.tool_calls,
        "tokens": row.tokens,
        "cost": row.cost_micro_usd / 1_000_000,
    }


def _cells(row: "SessionRow") -> tuple[str, ...]:
    from orchestrator.sessions.summaries import duration

    return (
        row.correlation_id,
        row.phase,
        row.agent,
        " ".join(row.goal.split()),
        times.shown(row.started_at),
        duration(((row.ended_at or row.updated_at) - row.started_at) // 1000),
        str(row.tool_calls),
        f"{row.tokens:,}",
        f"${row.cost_micro_usd / 1_000_000:.4f}",
    )
