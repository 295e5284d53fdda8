"""What the tools may read, write and ask, and how much. Read from the environment when a tool runs."""

import re
from pathlib import Path

from pydantic import Field, field_validator

from orchestrator.sdk import ConfigurationError, PermanentError, PluginSettings

PREFIX = "ORCHESTRATOR_TOOLS_"
_PORT = re.compile("[0-9]{1,5}")


class ToolSettings(PluginSettings, prefix="TOOLS"):
    """What the tools of this package may read, write and ask, and how much.

    Lists are written with commas: `ORCHESTRATOR_TOOLS_HTTP_ALLOW=api.example.org,*.example.net:8443`.
    """

    files_root: Path | None = Field(
        default=None, description="Folder that files.*, sql.* and logs.* may read. Unset: they fail."
    )
    output_root: Path | None = Field(
        default=None, description="Folder that report.markdown may write to. Unset: it only returns its text."
    )
    max_file_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="Largest file that a tool reads, and most bytes that a search reads.",
    )
    max_result_bytes: int = Field(
        default=1024 * 1024, ge=1024, description="Most bytes of text, rows or HTTP body a tool returns."
    )
    sql_memory: str = Field(
        default="512MB",
        pattern=r"^[1-9][0-9]*(KB|MB|GB)$",
        description="Memory for tables, joins and sorts of one sql.* or logs.* call, which never spills to disk.",
    )
    sql_threads: int = Field(default=2, ge=1, description="Threads of one sql.* or logs.* call.")
    http_allow: tuple[str, ...] = Field(
        default=(),
        description="Hosts with public addresses that http.get may call: `host`, `host:port`, `*.domain`. "
        "Without a port: 80 and 443.",
    )
    http_allow_private: tuple[str, ...] = Field(
        default=(),
        description="Exact `host:port` entries that http.get may call even at a private or loopback address.",
    )
    http_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the certificate authorities to trust for https. Unset: the public ones.",
    )
    http_timeout: float = Field(
        default=20.0, gt=0, description="Seconds for one http.get with all its redirects."
    )

    @field_validator("http_allow", "http_allow_private")
    @classmethod
    def _bare_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if "/" in entry or "@" in entry:
                raise ValueError(f"{entry!r} is not a host: write host or host:port, without scheme or path")
        return tuple(entry.lower() for entry in entries)

    @field_validator("http_allow_private")
    @classmethod
    def _exact_ports(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if "*" in entry or not _PORT.fullmatch(entry.rpartition(":")[2]):
                raise ValueError(f"{entry!r} must name one host and port, such as 127.0.0.1:8080")
        return entries


def tool_settings() -> ToolSettings:
    """The settings as the environment has them now. Raises `PermanentError` that lists all that is wrong."""
    try:
        return ToolSettings.read()
    except ConfigurationError as error:
        raise PermanentError(f"the tools' settings are wrong: {'; '.join(error.problems)}") from None
