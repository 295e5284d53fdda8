"""Programs written in Go that check deployment: found on the PATH in the right version, or built once.

`python -m tools.go_tools [NAME...]` prints the path of each, after building those that are missing. Builds are kept
in `.cache/tools`, in a folder named after the tool and its version or module files.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.local.locks import exclusive

ROOT: Final = Path(__file__).resolve().parent.parent
MODULES: Final = ROOT / "tools"
"""Module files of the tools that `go install` refuses, because their modules have replace directives, and `kube`."""
CACHE: Final = ROOT / ".cache" / "tools"

_VERSION_S: Final = 30.0
_DIGITS: Final = 12


class ToolError(Exception):
    """A tool is neither installed nor can be built. The text says what to do."""


@dataclass(frozen=True)
class GoTool:
    """One program. `version_arguments` make one that is found on the PATH print its version."""

    name: str
    version: str
    package: str
    file: str
    version_arguments: tuple[str, ...]
    version_variable: str = ""
    """Where the program keeps its version, if its build has to say it."""

    @property
    def module(self) -> Path | None:
        """The folder of its module files, if it has any."""
        folder = MODULES / self.name
        return folder if folder.is_dir() else None

    @property
    def folder(self) -> Path:
        """The folder of its build: another version, or other modules, have another folder."""
        key = self.version if self.module is None else _digest(*sorted(self.module.iterdir()))
        return CACHE / f"{self.name}-{key}"


HELM_3: Final = GoTool("helm3", "3.22.0", "helm.sh/helm/v3/cmd/helm", "helm", ("version", "--short"))
HELM_4: Final = GoTool("helm4", "4.3.1", "helm.sh/helm/v4/cmd/helm", "helm", ("version", "--short"))
HELM_UNITTEST: Final = GoTool(
    "helm-unittest",
    "1.1.2",
    "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    "untt",
    ("--version",),
)
JAEGER: Final = GoTool(
    "jaeger", "2.13.0", "github.com/jaegertracing/jaeger/cmd/jaeger", "jaeger", ("version",)
)
COMPOSE_SPEC: Final = GoTool(
    "compose-spec", "2.16.2", "github.com/compose-spec/compose-go/v2/cmd", "cmd", ("--version",)
)
KUBE_SCORE: Final = GoTool(
    "kube-score", "1.20.0", "github.com/zegl/kube-score/cmd/kube-score", "kube-score", ("version",)
)
KUBE: Final = GoTool(
    "kube", "1.34.4", ".", "kube", ("version",), version_variable="k8s.io/component-base/version.gitVersion"
)


def helm3() -> Path:
    """The newest Helm 3."""
    return found_or_built(HELM_3)


def helm4() -> Path:
    """The newest Helm 4."""
    return found_or_built(HELM_4)


def helm_unittest() -> Path:
    """The runner of the chart's suites; it needs no Helm."""
    return found_or_built(HELM_UNITTEST)


def jaeger() -> Path:
    """Jaeger with its page and storage in one program, for `orchestrator dev --jaeger`."""
    return found_or_built(JAEGER)


def compose_spec() -> Path:
    """The reference parser of Compose files, which Docker Compose uses; prints the parsed file as JSON."""
    return found_or_built(COMPOSE_SPEC)


def kube_score() -> Path:
    """A scanner of Kubernetes objects for what is risky or missing."""
    return found_or_built(KUBE_SCORE)


def kube() -> Path:
    """etcd, API server and controllers of Kubernetes in one program."""
    return found_or_built(KUBE)


TOOLS: Final[dict[str, Callable[[], Path]]] = {
    HELM_3.name: helm3,
    HELM_4.name: helm4,
    HELM_UNITTEST.name: helm_unittest,
    JAEGER.name: jaeger,
    COMPOSE_SPEC.name: compose_spec,
    KUBE_SCORE.name: kube_score,
    KUBE.name: kube,
}


def found_or_built(tool: GoTool) -> Path:
    """The path of the program. Raises `ToolError` if it is not found and cannot be built."""
    built = tool.folder / tool.name
    if built.is_file():
        return built
    if (found := _on_path(tool)) is not None:
        return found
    with exclusive(CACHE / f"{tool.name}.lock"):
        if not built.is_file():
            _build(tool, built)
    return built


def _on_path(tool: GoTool) -> Path | None:
    """The program on the PATH, under its own name or its file's, if it reports this version."""
    for name in (tool.name, tool.file):
        path = shutil.which(name)
        if path is not None and _version_of(path, tool) == tool.version:
            return Path(path)
    return None


def _version_of(path: str, tool: GoTool) -> str:
    try:
        printed = subprocess.run(
            [path, *tool.version_arguments], capture_output=True, text=True, timeout=_VERSION_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"\d+\.\d+\.\d+", printed.stdout + printed.stderr)
    return match.group() if match else ""


def _build(tool: GoTool, target: Path) -> None:
    """Builds it, which takes minutes. The program appears complete or not at all."""
    go = shutil.which("go")
    if go is None:
        raise ToolError(
            f"{tool.name} {tool.version} is not on the PATH, and cannot be built without Go: install Go 1.26 or "
            f"newer, or put {tool.file} {tool.version} on the PATH"
        )
    print(f"building {tool.name} {tool.version}, which takes a few minutes the first time", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # Without cgo the program runs wherever it is copied to, and the build needs no C compiler.
        environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": scratch}
        built = subprocess.run(
            _command(tool, go, Path(scratch) / tool.name),
            cwd=tool.module or ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            raise ToolError(
                f"the build of {tool.name} {tool.version} failed: check that a Go module proxy is reachable, or put "
                f"{tool.file} {tool.version} on the PATH; output of Go:\n{built.stderr.strip()}"
            )
        made = Path(scratch) / (tool.name if tool.module else tool.file)
        made.replace(target)


def _command(tool: GoTool, go: str, output: Path) -> list[str]:
    told = f" -X {tool.version_variable}=v{tool.version}" if tool.version_variable else ""
    slim = ["-trimpath", "-ldflags", f"-s -w{told}"]
    if tool.module is None:
        return [go, "install", *slim, f"{tool.package}@v{tool.version}"]
    return [go, "build", "-mod=readonly", *slim, "-o", str(output), tool.package]


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:_DIGITS]


def main() -> int:
    names = sys.argv[1:] or list(TOOLS)
    if unknown := [name for name in names if name not in TOOLS]:
        print(f"unknown tool {', '.join(unknown)}: known are {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    try:
        for name in names:
            print(f"{name}\t{TOOLS[name]()}", flush=True)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
