"""Settings of a process: flags, then the environment, then a file. Every mistake is reported at once."""

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator

from orchestrator.bus.settings import BusSettings, passed_through
from orchestrator.client.connection import ClientSettings
from orchestrator.errors import ConfigurationError
from orchestrator.messages.identity import trace_id
from orchestrator.sdk.plugins import Plugins, discover
from orchestrator.sdk.settings import VARIABLES, near_miss

if TYPE_CHECKING:
    from orchestrator.engine.loop import LoopSettings

CONFIG_VARIABLE: Final = "ORCHESTRATOR_CONFIG"
DEFAULT_FILE: Final = Path("orchestrator.toml")
TRACE_ID: Final = "{trace_id}"
TRACE_URL: Final = f"http://127.0.0.1:16686/trace/{TRACE_ID}"
"""Where Jaeger shows a trace."""
_KAFKA: Final = "ORCHESTRATOR_KAFKA_"
_REGISTRY: Final = "ORCHESTRATOR_SCHEMA_REGISTRY_"


class Settings(ClientSettings):
    """What a process needs to know. Each field is `ORCHESTRATOR_<NAME>` in the environment, `<name>` in the file
    and, where it makes sense, `--<name>` on the command line. `kafka` and `schema_registry` are tables in the
    file, and `ORCHESTRATOR_KAFKA_SASL_MECHANISM` in the environment.
    """

    slot: Annotated[int, Field(ge=0)] = 0
    """Number of this copy of the orchestrator: stable over restarts, and no two alike."""
    active_sessions: Annotated[int, Field(ge=1)] = 1_000
    """Sessions under way in one partition before its tasks wait."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Inputs in one transaction of the orchestrator at most."""
    drain_s: Annotated[float, Field(gt=0)] = 20.0
    """How long running calls get to finish when a process stops, seconds."""
    http_host: str = "127.0.0.1"
    """Where health and metrics are served."""
    http_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of /healthz, /readyz and /metrics; 0 takes a free one, none serves nothing."""
    modules: tuple[str, ...] = ()
    """Modules with plug-ins, beside those that are installed."""
    log_format: Literal["auto", "human", "json"] = "auto"
    """`auto` writes for people in a terminal and JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: str = ""
    """Where spans are sent, OTLP over gRPC; empty sends none."""
    trace_url: str = ""
    """Where people look at a trace, with `{trace_id}` in it: `http://127.0.0.1:16686/trace/{trace_id}`; empty
    where they cannot."""
    jaeger: str = ""
    """The program that `dev --jaeger` starts, by name or path; empty looks for `jaeger`."""

    @field_validator("trace_url")
    @classmethod
    def _valid_trace_url(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in {"http", "https"} or TRACE_ID not in url):
            raise ValueError(f"a trace is looked at by a URL with {TRACE_ID} in it, such as {TRACE_URL}")
        return url

    def trace_link(self, correlation_id: str) -> str:
        """Where the session's trace is looked at; empty where it cannot be."""
        return self.trace_url.replace(TRACE_ID, f"{trace_id(correlation_id):032x}") if self.trace_url else ""

    def plugins(self) -> Plugins:
        """The plug-ins of every installed package and of `modules`.

        Raises `ConfigurationError` with all that cannot be loaded, and every mistake in their settings.
        """
        return discover(self.modules, variables())

    @property
    def bus(self) -> BusSettings:
        """The part that the clients of the cluster need."""
        return BusSettings(**{name: getattr(self, name) for name in BusSettings.model_fields})

    @property
    def loop(self) -> "LoopSettings":
        # Whoever only asks for settings, as most commands do, has no use for the runtime.
        from orchestrator.engine.loop import LoopSettings

        return LoopSettings(slot=self.slot, batch=self.batch, active_sessions=self.active_sessions)


def variables() -> dict[str, str]:
    """The settings by their variables of the environment."""
    return {VARIABLES + name.upper(): name for name in Settings.model_fields}


def load(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings that hold. Raises `ConfigurationError` with every mistake, and where each was made."""
    environment = os.environ if environment is None else environment
    problems: list[str] = []
    in_file = _from_file(_file_of(environment, file, problems), problems)
    in_environment = _from_environment(environment, problems)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    merged = {**in_file, **in_environment, **given}
    for table in ("kafka", "schema_registry"):
        merged[table] = {**in_file.get(table, {}), **in_environment.get(table, {}), **given.get(table, {})}
    sources = {"flag": given, "environment": in_environment}
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        problems += [_explained(problem, sources) for problem in error.errors(include_url=False)]
    if problems:
        raise ConfigurationError(*problems)
    return settings


def _explained(problem: Any, sources: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such setting{_meant(name, Settings.model_fields)}"
    where = "in the file"
    if name in sources["flag"]:
        where = f"given as --{name.replace('_', '-')}"
    elif name in sources["environment"]:
        where = f"from {VARIABLES}{name.upper()}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name} ({where}): {message}"


def _meant(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _file_of(environment: Mapping[str, str], file: Path | None, problems: list[str]) -> Path | None:
    named = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is not None and not named.is_file():
        problems.append(f"there is no settings file {named}")
        return None
    return named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def _from_file(path: Path | None, problems: list[str]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"the settings file {path} is no TOML: {error}")
        return {}


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    known = variables()
    found: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable in known:
            name = known[variable]
            found[name] = value.split(",") if name == "modules" else value
        elif close := _slip(variable, known):
            problems.append(f"{variable}: there is no such setting; did you mean {close}?")
    found["kafka"] = passed_through(environment, _KAFKA)
    registry = passed_through(environment, _REGISTRY)
    found["schema_registry"] = {name: value for name, value in registry.items() if name != "url"}
    return found


def _slip(variable: str, known: Mapping[str, str]) -> str:
    """The variable of ours that was probably meant; empty if none was."""
    is_ours = variable.startswith(VARIABLES) and not variable.startswith((_KAFKA, _REGISTRY))
    return near_miss(variable, known) if is_ours and variable != CONFIG_VARIABLE else ""
