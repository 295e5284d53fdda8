"""What every command gets: settings and connections, one way to write results, and error reporting."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import typer

from orchestrator.cli.exits import ExitCode, exit_code_of
from orchestrator.cli.output import (
    Output,
    OutputError,
    ResultLostError,
    write_json,
    write_json_error,
    write_json_line,
    write_line,
    write_note,
)
from orchestrator.cli.streams import discard_output
from orchestrator.errors import ConfigurationError, OrchestratorError
from orchestrator.operations.errors import NotDoneError, error_document
from orchestrator.telemetry.redaction import Redaction, secrets_in

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings
    from orchestrator.app.wiring import Wiring
    from orchestrator.sessions.store import SessionStore

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10.0
"""How long a server may take to respond, unless `--connect-timeout` says otherwise."""


@dataclass(frozen=True)
class CommonOptions:
    """Options that every command takes, before or after its name. None means not given."""

    output: Output | None = None
    config: Path | None = None
    bootstrap_servers: str | None = None
    schema_registry_url: str | None = None
    topic_prefix: str | None = None
    connect_timeout: float | None = None
    log_level: str | None = None

    def over(self, other: Self | None) -> Self:
        """These options; `other` supplies those that were not given."""
        if other is None:
            return self
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(
            **{name: getattr(other, name) if value is None else value for name, value in own.items()}
        )


@dataclass(frozen=True)
class Shell:
    """One run of one command."""

    options: CommonOptions

    @property
    def writes_json(self) -> bool:
        """Whether results are written as JSON."""
        return self.options.output is Output.JSON

    @property
    def timeout_s(self) -> float:
        """How long a server may take to respond."""
        given = self.options.connect_timeout
        return CONNECT_TIMEOUT_S if given is None else given

    def show(self, result: T, document: Callable[[T], Any], write_text: Callable[[T], None]) -> None:
        """Writes a result: its JSON document, or what `write_text` writes."""
        if self.writes_json:
            write_json(document(result))
        else:
            write_text(result)

    def show_done(
        self, done: str, result: T, document: Callable[[T], Any], write_text: Callable[[T], None]
    ) -> None:
        """As `show`, for a command that has changed something. `done` says what: if standard output does not take the
        result, `ResultLostError` tells it, so that nobody does it again."""
        try:
            self.show(result, document, write_text)
        except BrokenPipeError:
            discard_output()
            raise ResultLostError(
                f"{done}, but nobody reads standard output", document(result), is_unread=True
            ) from None
        except OutputError as error:
            raise ResultLostError(f"{done}, but {error}", document(result), is_unread=False) from None

    def show_item(self, item: T, document: Callable[[T], Any], text: Callable[[T], str]) -> None:
        """Writes one item of a stream and flushes it: its JSON document on one line, or its text."""
        if self.writes_json:
            write_json_line(document(item))
        else:
            write_line(text(item))

    def show_text(self, write: Callable[[], None]) -> None:
        """Calls `write` unless the command writes JSON: for text that its document already holds or does not need."""
        if not self.writes_json:
            write()

    def settings(self, **flags: Any) -> "Settings":
        """The settings in effect; `flags` and the common options take precedence. Raises `ConfigurationError`."""
        from orchestrator.app.settings import load

        options = self.options
        common = {
            "bootstrap_servers": options.bootstrap_servers,
            "schema_registry_url": options.schema_registry_url,
            "topic_prefix": options.topic_prefix,
            "log_level": options.log_level,
        }
        return load({**common, **flags}, file=options.config)

    def reached(self, *, kafka: bool = True, registry: bool = True) -> "Settings":
        """The settings, once the servers accept connections.

        Raises `UnavailableError` that names every server that does not.
        """
        from orchestrator.cli.reach import require_servers

        settings = self.settings()
        require_servers(settings, self.timeout_s, kafka=kafka, registry=registry)
        return without_retries(settings, self.timeout_s)

    def wiring(self) -> "Wiring":
        """The connection to the cluster. Raises as `reached` does."""
        from orchestrator.app.wiring import wire

        return wire(self.reached())

    def open_store(self) -> "SessionStore":
        """The session store; the caller closes it. Raises `UnavailableError` or `ConfigurationError`."""
        from orchestrator.sessions.settings import SessionsSettings
        from orchestrator.sessions.store import SessionStore

        return SessionStore(SessionsSettings.read().url.get_secret_value())

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns the platform's own errors into one message and an exit code."""
        _send_logs_to_stderr(self.options.log_level)
        try:
            yield
        except (OrchestratorError, TimeoutError) as error:
            self._write_error(error)
            raise typer.Exit(exit_code_of(error)) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            self._write_error(NotDoneError(f"{place}{error.strerror or error}"))
            raise typer.Exit(ExitCode.NOT_DONE) from None

    def _write_error(self, error: Exception) -> None:
        redact = Redaction(secrets_in(os.environ))
        if self.options.log_level == "debug":
            write_note(redact(traceback.format_exc()))
        if self.writes_json:
            document = error_document(error)
            if isinstance(error, ResultLostError):
                document["result"] = error.document
            write_json_error(redact.content(document))
            return
        for problem in error.problems if isinstance(error, ConfigurationError) else (str(error),):
            write_note(redact(f"Error: {problem}"))


def without_retries(settings: "Settings", timeout_s: float) -> "Settings":
    """The settings for a person who waits: one attempt at the registry, unless the settings say otherwise."""
    from pydantic import SecretStr

    own = {"timeout": SecretStr(str(timeout_s)), "max.retries": SecretStr("0")}
    return settings.model_copy(update={"schema_registry": {**own, **settings.schema_registry}})


def _send_logs_to_stderr(level: str | None) -> None:
    """Without a level the client libraries log nothing: errors say what went wrong."""
    root = logging.getLogger()
    if level is None:
        root.addHandler(logging.NullHandler())
        return
    from orchestrator.telemetry.logs import PlainFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(secrets_in(os.environ), "%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
