"""What every command gets: how to reach the platform, for whom to write, and what errors become."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import typer

from orchestrator.cli.exits import exit_code_of
from orchestrator.cli.output import Output, write_line
from orchestrator.errors import ConfigurationError, OrchestratorError
from orchestrator.operations.errors import error_document

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings
    from orchestrator.app.wiring import Wiring

CONNECT_TIMEOUT_S: Final = 10.0
"""How long a server may take to answer, unless `--connect-timeout` says otherwise."""


@dataclass(frozen=True)
class CommonOptions:
    """Options that every command takes, before or behind its name. None was not given."""

    output: Output | None = None
    config: Path | None = None
    bootstrap_servers: str | None = None
    schema_registry_url: str | None = None
    topic_prefix: str | None = None
    connect_timeout: float | None = None
    log_level: str | None = None

    def over(self, other: Self | None) -> Self:
        """These, and those of `other` that are not among them."""
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
        return self.options.output is Output.JSON

    @property
    def timeout_s(self) -> float:
        """How long a server may take to answer."""
        given = self.options.connect_timeout
        return CONNECT_TIMEOUT_S if given is None else given

    def settings(self, **flags: Any) -> "Settings":
        """The settings that hold, `flags` and the common options above all. Raises `ConfigurationError`."""
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
        """The settings of servers that are there. Raises `UnavailableError` that names every one that is not."""
        from orchestrator.cli.reach import require_servers

        settings = self.settings()
        require_servers(settings, self.timeout_s, kafka=kafka, registry=registry)
        return impatient(settings, self.timeout_s)

    def wiring(self) -> "Wiring":
        """The cluster. Raises as `reached` does."""
        from orchestrator.app.wiring import wire

        return wire(self.reached())

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns the errors that the platform raises on purpose into one message and an exit code."""
        _send_logs_to_stderr(self.options.log_level)
        try:
            yield
        except (OrchestratorError, TimeoutError) as error:
            if self.options.log_level == "debug":
                traceback.print_exc()
            self._write_error(error)
            raise typer.Exit(exit_code_of(error)) from None

    def _write_error(self, error: Exception) -> None:
        if self.writes_json:
            write_json_error(error_document(error))
            return
        for problem in error.problems if isinstance(error, ConfigurationError) else (str(error),):
            write_line(f"Error: {problem}", stream=sys.stderr)


def write_json_error(document: dict[str, Any]) -> None:
    import msgspec

    sys.stderr.write(msgspec.json.encode({"error": document}).decode() + "\n")


def impatient(settings: "Settings", timeout_s: float) -> "Settings":
    """The settings of somebody who waits at the keyboard: one attempt at the registry, unless they say more."""
    from pydantic import SecretStr

    own = {"timeout": SecretStr(str(timeout_s)), "max.retries": SecretStr("0")}
    return settings.model_copy(update={"schema_registry": {**own, **settings.schema_registry}})


def _send_logs_to_stderr(level: str | None) -> None:
    """What the client libraries log is for whoever asks for it: errors say what went wrong without it."""
    root = logging.getLogger()
    if level is None:
        root.addHandler(logging.NullHandler())
        return
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
