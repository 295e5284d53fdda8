"""Sessions as arguments of commands: an id, or the beginning of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.shell import Shell
from orchestrator.errors import UnavailableError
from orchestrator.operations.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.sessions.store import SessionStore


def session_id(text: str) -> str:
    """As `operations.session_ids.session_id`. Raises `BadParameter`."""
    from orchestrator.operations.session_ids import session_id as parsed

    try:
        return parsed(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


SessionId = Annotated[
    str, typer.Argument(metavar="ID", parser=session_id, help="The session's id, or the beginning of it.")
]


@contextmanager
def store_if_available(shell: Shell) -> Iterator["SessionStore | None"]:
    """The session store, or None if it does not respond: a session can be found in the log as well."""
    try:
        store = shell.open_store()
    except UnavailableError:
        yield None
        return
    try:
        yield store
    finally:
        store.close()
