"""Settings of a process: flags override the environment, which overrides a file. Every mistake is reported."""

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator

from orchestrator.bus.settings import BusSettings, passed_through
from orchestrator.client.settings import ClientSettings
from orchestrator.errors import ConfigurationError
from orchestrator.messages.call_ids import CallIds
from orchestrator.messages.identity import trace_id
from orchestrator.messages.signatures import Signatures
from orchestrator.sdk.plugins import Plugins, discover
from orchestrator.sdk.settings import VARIABLES

if TYPE_CHECKING:
    from orchestrator.engine.loop import LoopSettings

CONFIG_VARIABLE: Final = "ORCHESTRATOR_CONFIG"
DEFAULT_FILE: Final = Path("orchestrator.toml")
TRACE_ID: Final = "{trace_id}"
TRACE_URL: Final = f"http://127.0.0.1:16686/trace/{TRACE_ID}"
"""The page of a trace in Jaeger."""
_KAFKA: Final = "ORCHESTRATOR_KAFKA_"
_REGISTRY: Final = "ORCHESTRATOR_SCHEMA_REGISTRY_"
_LISTS: Final = frozenset({"modules", "schema_subjects"})
_TABLES: Final = ("kafka", "schema_registry")
"""What is passed through to clients."""
_CLOSE: Final = 0.85
SHORTEST_KEY: Final = 32
"""Characters of a key of calls."""
UNSIGNED: Final = "none"
"""Behind keys of calls: ids without a key are recognised too, while keys are introduced."""


class Settings(ClientSettings):
    """Settings of the platform. Each field is `ORCHESTRATOR_<NAME>` in the environment, `<name>` in the file
    and, where it makes sense, `--<name>` on the command line. `kafka` and `schema_registry` are tables in the
    file, and `ORCHESTRATOR_KAFKA_SASL_MECHANISM` in the environment.
    """

    slot: Annotated[int, Field(ge=0)] = 0
    """Number of this copy of the orchestrator: stable over restarts, unique among the copies."""
    active_sessions: Annotated[int, Field(ge=1)] = 1_000
    """Active sessions in one partition; beyond that, its new tasks wait."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Most inputs in one transaction of the orchestrator."""
    call_keys: SecretStr = SecretStr("")
    """Secrets of all processes of an installation, separated by commas, 32 characters or more each. Whoever has none
    cannot reply to calls or have tools run. The first one signs, all are recognised; `none` at the end recognises
    calls that were opened without a key."""
    drain_s: Annotated[float, Field(gt=0, le=86_400)] = 20.0
    """How long calls in flight may take to finish when a process stops, seconds."""
    http_host: str = "127.0.0.1"
    """Address that serves health and metrics. `::` is every address, of IPv4 and IPv6."""
    http_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of /healthz, /readyz and /metrics. 0 picks a free port; unset, nothing is served."""
    modules: tuple[str, ...] = ()
    """Modules with plug-ins, besides the installed ones."""
    log_format: Literal["auto", "human", "json"] = "auto"
    """`auto` writes text in a terminal and JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log messages that are written."""
    otlp_endpoint: str = ""
    """Where spans are sent, OTLP over gRPC. Empty: nowhere."""
    trace_url: str = ""
    """URL of the page of a trace, with `{trace_id}` in it: `http://127.0.0.1:16686/trace/{trace_id}`. Empty: no
    links to traces."""
    jaeger: str = ""
    """The program that `dev --jaeger` starts, by name or path. Empty: `jaeger`."""

    @field_validator("trace_url")
    @classmethod
    def _valid_trace_url(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in {"http", "https"} or TRACE_ID not in url):
            raise ValueError(f"write an http or https URL with {TRACE_ID} in it, such as {TRACE_URL}")
        return url

    @field_validator("call_keys")
    @classmethod
    def _valid_call_keys(cls, keys: SecretStr) -> SecretStr:
        parts = _keys_in(keys)
        if parts[-1:] == [UNSIGNED]:
            parts.pop()
        if keys.get_secret_value() and not parts:
            raise ValueError(f"{UNSIGNED} stands behind a key, and there is none")
        if any(len(part) < SHORTEST_KEY for part in parts):
            raise ValueError(
                f"a key has at least {SHORTEST_KEY} characters: make one with `openssl rand -hex 32`; keys are "
                "separated by commas"
            )
        return keys

    @property
    def call_ids(self) -> CallIds:
        keys, accepts_unkeyed = self._keys
        return CallIds(keys, accepts_unkeyed=accepts_unkeyed)

    @property
    def signatures(self) -> Signatures:
        keys, accepts_unsigned = self._keys
        return Signatures(keys, accepts_unsigned=accepts_unsigned)

    @property
    def _keys(self) -> tuple[list[bytes], bool]:
        """The keys, and whether what was made without one counts too."""
        keys = _keys_in(self.call_keys)
        return [key.encode() for key in keys if key != UNSIGNED], keys[-1:] == [UNSIGNED]

    def trace_link(self, correlation_id: str) -> str:
        """URL of the session's trace; empty without `trace_url`."""
        return self.trace_url.replace(TRACE_ID, f"{trace_id(correlation_id):032x}") if self.trace_url else ""

    def plugins(self) -> Plugins:
        """The plug-ins of every installed package and of `modules`.

        Raises `ConfigurationError` with all that cannot be loaded, and every mistake in their settings.
        """
        return discover(self.modules, variables())

    @property
    def bus(self) -> BusSettings:
        """The part for the clients of the cluster."""
        return BusSettings(**{name: getattr(self, name) for name in BusSettings.model_fields})

    @property
    def secrets(self) -> list[str]:
        """Values that nothing shows."""
        known = (*self.kafka.values(), *self.schema_registry.values())
        return [one.get_secret_value() for one in known] + [
            key for key in _keys_in(self.call_keys) if key != UNSIGNED
        ]

    @property
    def loop(self) -> "LoopSettings":
        # Imported late: most commands need settings, and not the engine.
        from orchestrator.engine.loop import LoopSettings

        return LoopSettings(slot=self.slot, batch=self.batch, active_sessions=self.active_sessions)


def _keys_in(keys: SecretStr) -> list[str]:
    return [part.strip() for part in keys.get_secret_value().split(",")] if keys.get_secret_value() else []


def variables() -> dict[str, str]:
    """The settings by their variables of the environment."""
    return {VARIABLES + name.upper(): name for name in Settings.model_fields}


def load(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings in effect. Raises `ConfigurationError` with every mistake, and where each was made."""
    environment = os.environ if environment is None else environment
    problems: list[str] = []
    in_file = _from_file(_file_of(environment, file, problems), problems)
    in_environment = _from_environment(environment, problems)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    merged = {**in_file, **in_environment, **given}
    for table in _TABLES:
        if not isinstance(in_file.get(table, {}), dict):
            problems.append(f"{table} (in the file): it is a table, written as [{table}]")
            del in_file[table]
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
    message = str(problem["msg"]).removeprefix("Value error, ")
    if name in _TABLES:
        return _explained_in_table(name, problem, message, sources)
    if problem["type"] == "extra_forbidden":
        return f"{name} is not a setting{_meant(name, Settings.model_fields)}"
    where = "in the file"
    if name in sources["flag"]:
        where = f"given as --{name.replace('_', '-')}"
    elif name in sources["environment"]:
        where = f"from {VARIABLES}{name.upper()}"
    return f"{name} ({where}): {message}"


def _explained_in_table(
    table: str, problem: Any, message: str, sources: Mapping[str, Mapping[str, Any]]
) -> str:
    """A problem with what is passed through. Texts of the environment are what they should be, so a value that is none
    is in the file."""
    if keys := [str(key) for key in problem["loc"][1:]]:
        if isinstance(problem["input"], dict):
            message = "write a name with dots in quotes"
        return f"{table}.{'.'.join(keys)} (in the file): {message}"
    from_variables = f"from {VARIABLES}{table.upper()}_* or " if sources["environment"].get(table) else ""
    return f"{table} ({from_variables}in the file): {message}"


def _meant(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _file_of(environment: Mapping[str, str], file: Path | None, problems: list[str]) -> Path | None:
    named = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is not None and not named.is_file():
        problems.append(f"settings file {named} not found")
        return None
    return named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def _from_file(path: Path | None, problems: list[str]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        problems.append(f"settings file {path} is not valid TOML: it is nested too deeply")
    except ValueError as error:
        # Not only errors of TOML: a number of thousands of digits is one too.
        problems.append(f"settings file {path} is not valid TOML: {error}")
    except OSError as error:
        problems.append(f"settings file {path} cannot be read: {error.strerror}")
    return {}


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    known = variables()
    found: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable in known:
            name = known[variable]
            found[name] = _listed(value) if name in _LISTS else value
        elif close := _slip(variable, known):
            problems.append(f"{variable} is not a setting; did you mean {close}?")
    found["kafka"] = passed_through(environment, _KAFKA)
    registry = passed_through(environment, _REGISTRY)
    found["schema_registry"] = {name: value for name, value in registry.items() if name != "url"}
    return found


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _slip(variable: str, known: Mapping[str, str]) -> str:
    """The variable that was probably meant; empty if none is very close: plug-ins have variables under our prefix
    too, so a resemblance is not enough."""
    is_ours = variable.startswith(VARIABLES) and not variable.startswith((_KAFKA, _REGISTRY))
    if not is_ours or variable == CONFIG_VARIABLE:
        return ""
    return next(iter(get_close_matches(variable, list(known), n=1, cutoff=_CLOSE)), "")
