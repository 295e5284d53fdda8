"""`orchestrator cancel`: requests the cancellation of a session."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import command
from orchestrator.cli.lookup import SessionId, store_if_available
from orchestrator.cli.output import write_line
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.app.wiring import Wiring
    from orchestrator.operations.lookup import FoundSession


@command
def cancel(
    shell: Shell,
    session: SessionId,
    reason: Annotated[str, typer.Option(help="Why; recorded in the session's history.")] = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Do not look the session up first: its task may still be in flight."),
    ] = False,
    tenant: Annotated[str, typer.Option(help="With --force: tenant that owns the session.")] = "default",
) -> None:
    """Requests the cancellation of a session.

    Returns when Kafka has the request; `sessions watch` shows the outcome.
    """
    import asyncio

    from orchestrator.client import Client
    from orchestrator.operations import tasks

    wiring = shell.wiring()
    found = _find(shell, wiring, session, tenant if force else None)

    async def send() -> None:
        async with Client(wiring, timeout_s=shell.timeout_s) as client:
            await tasks.cancel(client, found, reason)

    asyncio.run(send())
    shell.show_done(
        f"cancellation was requested for session {found.correlation_id}",
        found.correlation_id,
        lambda session: {"correlation_id": session},
        lambda session: write_line(f"cancellation requested for session {session}"),
    )


def _find(shell: Shell, wiring: "Wiring", given: str, tenant: str | None) -> "FoundSession":
    """The session; with `tenant`, as it was given."""
    from orchestrator.operations.lookup import FoundSession, find_session
    from orchestrator.operations.session_ids import whole_id

    if tenant is not None:
        return FoundSession(whole_id(given), "", tenant)
    with store_if_available(shell) as store:
        return find_session(wiring, store, given, shell.timeout_s)
