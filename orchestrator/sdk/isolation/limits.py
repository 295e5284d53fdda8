"""What a run in a process of its own may have."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.declarations import refuse
from orchestrator.sdk.durations import milliseconds
from orchestrator.sdk.settings import PluginSettings

INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""Variables that every run has; the rest of the environment, which may hold credentials, it has to ask for."""

_SIZE: Final = re.compile(r"([1-9][0-9]{0,6})(KB|MB|GB)")
_UNITS: Final = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def size_in_bytes(text: str) -> int:
    """Bytes of a size such as 512MB. Raises `ConfigurationError`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"{text!r} is not a size: write a number and a unit, such as 64MB (KB, MB, GB)"
        )
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Isolation:
    """The limits of a run in a process of its own. Sizes are such as `512MB`, times such as `30s`.

    It also has a working directory of its own, which is deleted after the run, and of the environment only
    `PATH`, the language, the time zone, and what `environment` names.
    """

    memory: str | Callable[[], str] = "1GB"
    """Memory that one process may take beyond what it has when the run begins; a function is asked at each run."""
    cpu: str = ""
    """CPU time of all its threads; twice the timeout of the run if left out."""
    file_size: str = "64MB"
    """Largest file that it may write."""
    open_files: int = 256
    """Most open files and sockets."""
    output: str = "16MB"
    """Most bytes that it may return, as JSON."""
    environment: tuple[str | type[PluginSettings], ...] = ()
    """Variables that it may see: by name, or all those of a class of settings."""

    def __post_init__(self) -> None:
        """Refuses every mistake at once."""
        problems: list[str] = []
        sizes = [self.file_size, self.output]
        sizes += [self.memory] if isinstance(self.memory, str) else []
        for read, text in [*((size_in_bytes, size) for size in sizes), (milliseconds, self.cpu or "1s")]:
            try:
                read(text)
            except (ConfigurationError, ValueError) as error:
                problems.append(f"isolation: {error}")
        if self.open_files < LEAST_OPEN_FILES:
            problems.append(f"isolation: open_files must be at least {LEAST_OPEN_FILES}")
        if problems:
            refuse(ConfigurationError(*problems))

    def limits(self, timeout_s: float) -> "Limits":
        """The limits of a run with this timeout. Raises `ConfigurationError` for a size that is none."""
        memory = self.memory if isinstance(self.memory, str) else self.memory()
        cpu_s = milliseconds(self.cpu) / 1000 if self.cpu else 2 * timeout_s
        return Limits(
            memory=size_in_bytes(memory),
            cpu_s=max(1, -int(-cpu_s // 1)),
            file_size=size_in_bytes(self.file_size),
            open_files=self.open_files,
            output=size_in_bytes(self.output),
            wall_s=timeout_s,
        )

    def variables(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a run sees of the environment of this process."""
        environment = os.environ if environment is None else environment
        return {name: environment[name] for name in self._names() if name in environment}

    def _names(self) -> Iterable[str]:
        yield from INHERITED
        for one in self.environment:
            yield from (one,) if isinstance(one, str) else one.variables().values()


LEAST_OPEN_FILES: Final = 16


@dataclass(frozen=True)
class Limits:
    """The limits of one run: bytes, seconds, and a count."""

    memory: int
    cpu_s: int
    file_size: int
    open_files: int
    output: int
    wall_s: float

    def as_data(self) -> dict[str, Any]:
        """As JSON data, for the process of the run."""
        return dict(vars(self))
