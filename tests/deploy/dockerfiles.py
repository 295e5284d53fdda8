"""A Dockerfile, executed on this machine as far as possible without a container.

Every stage has a folder that stands for `/`, at one path, since what is installed knows where it lies. What is
not as in a container: base images are stood in for, processes see the rest of this machine, and a RUN may name
folders by variables, or relative to its own, only.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

BaseImage = Callable[[str, Path], None]
"""Puts the content of a base image, by name, into a folder."""

RUN_S = 600.0
_PATH = "/usr/local/bin:/usr/bin:/bin"
_LITERAL_FOLDER = re.compile(r"""(?<![\w}"'.])/\w""")


@dataclass
class Stage:
    """The initial state of a container of this stage. `root` stands for `/`."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()

    def here(self, path: str) -> Path:
        """The path on this machine of a path in the container."""
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip("/")  # noqa: PTH118 - no file

    def expanded(self, text: str) -> str:
        return Template(text).substitute({**self.arguments, **self.environment})

    def variables(self, *, building: bool = False) -> dict[str, str]:
        """Its environment, with folders of this machine; a RUN also has the arguments of the build."""
        values = {**self.arguments, **self.environment} if building else self.environment
        mapped = {name: ":".join(map(self._mapped, value.split(":"))) for name, value in values.items()}
        return mapped | {"PATH": f"{mapped['PATH']}:/usr/bin:/bin"}

    def _mapped(self, part: str) -> str:
        return f"{self.root}{part}" if part.startswith("/") else part

    def start(self, *command: str, environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
        """Its entry point with this command, as its user, with its environment and nothing of ours."""
        user, group = map(int, self.user.split(":"))
        variables = {**self.variables(), **environment}
        program = shutil.which(self.entrypoint[0], path=variables["PATH"])
        assert program is not None
        with log.open("ab") as file:
            return subprocess.Popen(
                [program, *self.entrypoint[1:], *command],
                env=variables,
                cwd=self.here("."),
                user=user,
                group=group,
                extra_groups=[] if os.geteuid() == 0 else None,
                stdout=file,
                stderr=file,
            )


class Build:
    """Executes a Dockerfile in `folder`. `arguments` are those of `--build-arg`; `lent` is what processes of RUN
    get of this machine's environment, such as the caches of packages."""

    def __init__(
        self,
        context: Path,
        folder: Path,
        base: BaseImage,
        arguments: Mapping[str, str],
        lent: Mapping[str, str],
    ) -> None:
        self._context = context
        self._folder = folder
        self._base = base
        self._given = arguments
        self._lent = lent
        self._globals: dict[str, str] = {}
        self._done: dict[str, Path] = {}
        self._name = ""
        self._stage: Stage | None = None
        patterns = (context / ".dockerignore").read_text(encoding="utf-8").splitlines()
        self._sent = {
            Path(path)
            for path in exclude_paths(str(context), [one for one in patterns if not one.startswith("#")])
        }

    def image(self, dockerfile: Path) -> Stage:
        """The last stage, after all of them were executed."""
        with dockerfile.open(encoding="utf-8") as file:
            steps = DockerfileParser(fileobj=file).structure
        for step in steps:
            name, value = step["instruction"], step["value"]
            if name != "COMMENT":
                getattr(self, f"_{name.lower()}")(value)
        assert self._stage is not None
        return self._stage

    @property
    def _now(self) -> Stage:
        assert self._stage is not None, "FROM comes first"
        return self._stage

    def _arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        into = self._stage.arguments if self._stage else self._globals
        into[name] = self._given.get(name, default)

    def _from(self, value: str) -> None:
        image, _, name = Template(value).substitute(self._globals).partition(" AS ")
        root = self._folder / "root"
        if self._stage is not None:
            self._done[self._name] = root.rename(self._folder / self._name)
        root.mkdir(mode=0o755)
        self._base(image, root)
        self._name, self._stage = name, Stage(root)

    def _env(self, value: str) -> None:
        self._now.environment |= self._pairs(value)

    def _label(self, value: str) -> None:
        self._now.labels |= self._pairs(value)

    def _pairs(self, value: str) -> dict[str, str]:
        pairs = (word.partition("=") for word in shlex.split(value))
        return {name: self._now.expanded(content) for name, _, content in pairs}

    def _workdir(self, value: str) -> None:
        self._now.workdir = self._now.expanded(value)
        self._now.here(".").mkdir(parents=True, exist_ok=True)

    def _user(self, value: str) -> None:
        self._now.user = self._now.expanded(value)

    def _entrypoint(self, value: str) -> None:
        self._now.entrypoint = json.loads(value)

    def _cmd(self, value: str) -> None:
        self._now.command = json.loads(value)

    def _run(self, value: str) -> None:
        literal = _LITERAL_FOLDER.search(value)
        assert literal is None, (
            f"RUN {value}: a variable has to name the folder, or it would be this machine's"
        )
        done = subprocess.run(
            ["/bin/sh", "-c", value],
            env={**self._lent, **self._now.variables(building=True)},
            cwd=self._now.here("."),
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert done.returncode == 0, f"RUN {value}\n{done.stdout}{done.stderr}"

    def _copy(self, value: str) -> None:
        *words, target = shlex.split(value)
        stage = words[0].removeprefix("--from=") if words[0].startswith("--from=") else ""
        for source in words[1:] if stage else words:
            place = self._now.here(target)
            if stage:
                _copied(self._done[stage] / source.lstrip("/"), place, into=target.endswith("/"))
            else:
                self._copy_sent(Path(source), place, into=target.endswith("/"))

    def _copy_sent(self, source: Path, place: Path, *, into: bool) -> None:
        """Ignored files are left out."""
        if (self._context / source).is_file():
            assert source in self._sent, f"{source} is ignored"
            _copied(self._context / source, place, into=into)
            return
        for path in self._sent:
            if path.is_relative_to(source) and (self._context / path).is_file():
                _copied(self._context / path, place / path.relative_to(source), into=False)


def _copied(origin: Path, place: Path, *, into: bool) -> None:
    place = place / origin.name if into else place
    place.parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        shutil.copytree(origin, place, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(origin, place)
