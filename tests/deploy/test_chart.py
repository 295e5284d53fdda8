"""The chart agrees with itself and with the project."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.charts import CHART, ROOT, text_of

CHART_FILE = yaml.safe_load(text_of(CHART / "Chart.yaml"))
VALUES = yaml.safe_load(text_of(CHART / "values.yaml"))
SCHEMA = json.loads(text_of(CHART / "values.schema.json"))
FREE = {"services", "global", "enabled"}
LIKE_SERVICES = ("orchestrator.", "adminTools.", "jobs.")
LIKE_ALL = tuple(
    f"serviceDefaults.{name}."
    for name in ("image", "tmp", "kafka.tls", "schemaRegistry.tls", "valueStore.aws")
)


def test_it_installs_this_version() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    assert CHART_FILE["appVersion"] == project["version"]


def test_pods_run_as_the_user_of_the_image() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\w+)$", text_of(ROOT / "deploy" / "Dockerfile"), re.MULTILINE))
    assert VALUES["podSecurityContext"]["runAsUser"] == int(arguments["UID"])
    assert VALUES["podSecurityContext"]["runAsGroup"] == int(arguments["GID"])


def test_the_upgrade_notes_have_this_version() -> None:
    assert f"## {CHART_FILE['version']}" in text_of(CHART / "UPGRADING.md")


def test_the_schema_has_every_value_and_no_other() -> None:
    known = {path for path in paths_of_schema(SCHEMA) if path.split(".")[0] not in FREE}
    given = {path for path in paths_of_values(VALUES) if path.split(".")[0] not in FREE}
    assert given <= known
    # Orchestrator, admin tools and jobs accept what a service accepts; images, clients, credentials and `/tmp` of one
    # workload have the keys of those of all.
    other = {path for path in known - given if not path.startswith((*LIKE_SERVICES, *LIKE_ALL))}
    assert not other, f"the schema has {other}, the values have not"
    of_one = {path.split(".")[1] for path in known - given if path.startswith(LIKE_SERVICES)}
    assert of_one <= VALUES["serviceDefaults"].keys()
    for path in (path for path in known if path.startswith(LIKE_ALL)):
        assert path.removeprefix("serviceDefaults.") in known, path


def test_the_suites_of_the_chart_pass(unittest_program: Path) -> None:
    ran = subprocess.run(
        [unittest_program, "--strict", CHART], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not re.search(r"\b[1-9]\d* (skipped|pending)\b", ran.stdout), ran.stdout


def paths_of_values(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Keys down to what the schema leaves open."""
    for name, value in values.items():
        yield f"{before}{name}"
        if isinstance(value, dict) and value and is_closed(f"{before}{name}"):
            yield from paths_of_values(value, f"{before}{name}.")


def paths_of_schema(schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, inner in resolved(schema).get("properties", {}).items():
        yield f"{before}{name}"
        yield from paths_of_schema(inner, f"{before}{name}.")


def is_closed(path: str) -> bool:
    schema: Mapping[str, Any] = SCHEMA
    for part in path.split("."):
        schema = resolved(resolved(schema)["properties"].get(part, {}))
    return "properties" in schema


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    return SCHEMA["definitions"][reference.rpartition("/")[2]] if reference else schema
