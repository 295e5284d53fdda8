"""`orchestrator cancel`: asks for a session to be ended."""

from typing import Annotated

import typer

from orchestrator.cli.common import command
from orchestrator.cli.lookup import Known, SessionId, existing, whole_id
from orchestrator.cli.output import write_json, write_line
from orchestrator.cli.shell import Shell
from orchestrator.operations.errors import NotDoneError


@command
def cancel(
    shell: Shell,
    session: SessionId,
    reason: Annotated[str, typer.Option(help="Why; it is part of the session's history.")] = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Do not look for the session first: its task may still be on its way."),
    ] = False,
) -> None:
    """Asks for a session to be cancelled.

    Returns when Kafka has the request; `sessions watch` shows what comes of it.
    """
    import asyncio

    from orchestrator.client import Client
    from orchestrator.sessions.projection import ENDED

    wiring = shell.wiring()
    known = Known(whole_id(session), "") if force else existing(wiring, session, shell.timeout_s)
    found = known.correlation_id
    if known.phase in ENDED:
        raise NotDoneError(f"session {found} has ended already ({known.phase}): there is nothing to cancel")

    async def send() -> None:
        async with Client(wiring, timeout_s=shell.timeout_s) as client:
            await client.cancel(found, reason)

    asyncio.run(send())
    if shell.writes_json:
        write_json({"correlation_id": found})
    else:
        write_line(f"asked for session {found} to be cancelled")
