"""The chart as Helm renders it."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "agent-orchestrator"
SHAPES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE = "shop"
NAMESPACE = "agents"
KUBERNETES = "1.34.0"
CALL_KEY = "of-a-release-that-never-runs-here"

Object: TypeAlias = dict[str, Any]

WORKLOADS = ("StatefulSet", "Deployment", "Job", "Pod")


class Strict(yaml.SafeLoader):
    """Refuses a key that comes twice, as Helm 4 does; YAML itself keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{twice} twice in a mapping, line {node.start_mark.line + 1}"
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Helm:
    """One version of the program."""

    path: Path

    def lint(self, values: Path) -> subprocess.CompletedProcess[str]:
        return self._run("lint", "--strict", "--values", str(values), str(CHART))

    def template(
        self,
        *values: Path,
        release: str = RELEASE,
        settings: Iterable[str] = (),
        plain: Iterable[str] = (),
        namespace: str = NAMESPACE,
        apis: Iterable[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """`settings` are `key=value` over the files, their values JSON; `plain` ones are as typed in a shell. `apis`
        are what the cluster has beside Kubernetes."""
        files = [word for file in values for word in ("--values", str(file))]
        single = [word for setting in settings for word in ("--set-json", setting)]
        single += [word for setting in plain for word in ("--set", setting)]
        place = ("--namespace", namespace, "--kube-version", KUBERNETES)
        known = [word for api in apis for word in ("--api-versions", api)]
        return self._run("template", release, str(CHART), *place, *known, *files, *single)

    def objects(
        self,
        *values: Path,
        release: str = RELEASE,
        settings: Iterable[str] = (),
        namespace: str = NAMESPACE,
    ) -> list[Object]:
        """The rendered objects. The chart has to accept the values, and no key may come twice in a mapping."""
        done = self.template(*values, release=release, settings=settings, namespace=namespace)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.load_all(done.stdout, Loader=Strict) if one is not None]

    def mistakes(self, *values: Path, settings: Iterable[str] = (), apis: Iterable[str] = ()) -> str:
        """The error for values that the chart has to refuse."""
        done = self.template(*values, settings=settings, apis=apis)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path, *arguments], capture_output=True, text=True, timeout=120, check=False
        )


def shape(name: str) -> Path:
    """The values file of that name."""
    return CHART / "ci" / f"{name}-values.yaml"


def named(path: Path) -> str:
    return path.name.removesuffix("-values.yaml")


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """The spec of each workload's pods, with its name and kind."""
    for one in objects:
        if one["kind"] in WORKLOADS:
            spec = one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
            yield f"{one['kind']}/{one['metadata']['name']}", spec


def containers(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Each container of ours, with its place."""
    for place, spec in pods(objects):
        for container in spec["containers"]:
            if container["command"] == ["orchestrator"]:
                yield f"{place}/{container['name']}", container


def environment(container: Object, ordinal: int = 7) -> Mapping[str, str]:
    """A container's environment as its process gets it, in the pod of that ordinal. What only a cluster knows
    is `SECRET`, or the ordinal too."""
    found: dict[str, str] = {}
    for entry in container["env"]:
        source = entry.get("valueFrom", {})
        secret = CALL_KEY if entry["name"] == "ORCHESTRATOR_CALL_KEYS" else "SECRET"
        value = entry.get("value", secret if "secretKeyRef" in source else str(ordinal))
        for name, earlier in found.items():
            value = value.replace(f"$({name})", earlier)
        found[entry["name"]] = value
    return found


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")
