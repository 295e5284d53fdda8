"""The Compose file is valid, starts in an order that works, and gives the program settings that it accepts."""

import re
import shlex
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from orchestrator_services.tools.settings import PREFIX as TOOLS
from typer.testing import CliRunner

from orchestrator.app.process import available
from orchestrator.app.settings import Settings
from orchestrator.cli.main import app
from orchestrator.sdk.plugins import discover
from tests.deploy.compositions import COMPOSE, ROOT, SECURE, composed, ours, read

OF_PLUGINS = {"ORCHESTRATOR_SESSIONS_URL", f"{TOOLS}FILES_ROOT"}
"""Variables that are settings of plug-ins, not of a process."""


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    return composed()


def test_the_parser_refuses_what_is_not_a_compose_file(tmp_path: Path) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    for right, wrong in (
        ("read_only: true", "readonly: true"),
        ("condition: service_healthy", "condition: well"),
    ):
        assert right in text
        broken = tmp_path / "compose.yaml"
        broken.write_text(text.replace(right, wrong), encoding="utf-8")
        assert read(broken).returncode != 0, wrong


def test_images_are_pinned(model: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    for name, service in model["services"].items():
        assert service["image"].partition(":")[2] not in ("", "latest"), name
    assert {service["image"].partition(":")[2] for service in ours(model).values()} == {version}


def test_one_service_builds_the_image_and_the_others_take_it(model: dict[str, Any]) -> None:
    built = {name: service["build"] for name, service in ours(model).items() if "build" in service}
    assert list(built) == ["topics"]
    assert Path(built["topics"]["context"]) == ROOT
    assert (ROOT / built["topics"]["dockerfile"]).is_file()
    others = {name: service.get("pull_policy") for name, service in ours(model).items() if name not in built}
    assert set(others.values()) == {"never"}, others


def test_kafka_and_the_registry_are_those_of_the_tests(model: dict[str, Any]) -> None:
    support = (ROOT / "tests" / "support" / "kafka_stack.py").read_text(encoding="utf-8")
    for name in ("kafka", "registry"):
        assert f'"{model["services"][name]["image"]}"' in support


def test_services_that_others_wait_for_report_their_state(model: dict[str, Any]) -> None:
    """A service that has to be healthy has a health check; one that has to complete ends by itself."""
    services = model["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            place = f"{name} waits for {needed}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], place
            if how["condition"] == "service_completed_successfully":
                assert "restart" not in services[needed], place
                assert services[needed].get("command", [""])[0] != "run", place


def test_everything_starts_after_what_it_needs(model: dict[str, Any]) -> None:
    needs = {name: set(service.get("depends_on", {})) for name, service in model["services"].items()}
    order = list(TopologicalSorter(needs).static_order())
    assert set(order) == set(model["services"])
    setting_up = ["kafka", "topics", "schemas", "agents", "orchestrator"]
    assert sorted(setting_up, key=order.index) == setting_up
    assert order.index("registry") < order.index("topics")


def test_every_service_that_comes_with_the_platform_runs_once(model: dict[str, Any]) -> None:
    commands = [service["command"] for service in ours(model).values() if service.get("command")]
    words = [word for command in commands if command[0] == "run" for word in _names(command)]
    assert sorted(words) == sorted(available(discover()))


def test_every_command_is_a_command_of_the_program(model: dict[str, Any]) -> None:
    for name, service in ours(model).items():
        command = service.get("command")
        if command and command[0] != "run":
            helped = CliRunner().invoke(app, [*command[:2], "--help"])
            assert helped.exit_code == 0, name


def test_every_environment_is_accepted(model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, service in ours(model).items():
        with monkeypatch.context() as patch:
            for variable, value in service["environment"].items():
                patch.setenv(variable, value)
            checked = CliRunner().invoke(app, ["config", "check"])
        assert checked.exit_code == 0, f"{name}: {checked.stderr}"
        known = {f"ORCHESTRATOR_{setting.upper()}" for setting in Settings.model_fields}
        assert service["environment"].keys() <= known | OF_PLUGINS, name


def test_services_find_each_other_where_they_listen(model: dict[str, Any]) -> None:
    services = model["services"]
    kafka = services["kafka"]["environment"]
    for name, service in ours(model).items():
        environment = service["environment"]
        assert (
            f"INTERNAL://{environment['ORCHESTRATOR_BOOTSTRAP_SERVERS']}"
            in kafka["KAFKA_ADVERTISED_LISTENERS"]
        )
        assert environment["ORCHESTRATOR_SCHEMA_REGISTRY_URL"].startswith("http://registry:8080/"), name
        database = services["postgres"]["environment"]
        login = (
            f"{database['POSTGRES_USER']}:{database['POSTGRES_PASSWORD']}@postgres/{database['POSTGRES_DB']}"
        )
        assert environment.get("ORCHESTRATOR_SESSIONS_URL", login).endswith(login), name
        if "healthcheck" in service:
            assert f":{environment['ORCHESTRATOR_HTTP_PORT']}/readyz" in service["healthcheck"]["test"][-1], (
                name
            )


def test_containers_of_ours_may_do_little(model: dict[str, Any]) -> None:
    for name, service in ours(model).items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.keys() >= {"mem_limit", "cpus", "pids_limit"}, name
        assert all(":size=" in place for place in service["tmpfs"]), name


def test_only_containers_that_store_something_may_write(model: dict[str, Any]) -> None:
    writing = {
        name
        for name, service in ours(model).items()
        if any(not one.get("read_only") for one in service.get("volumes", ()))
    }
    # Plans, conversations, outputs, evaluations and snapshots may be values; `submit` may store a context.
    assert writing == {"orchestrator", "planner", "tool-executor", "evaluator", "cli", "example-data"}


def test_tools_do_not_know_the_database(model: dict[str, Any]) -> None:
    knowing = {
        name for name, service in ours(model).items() if "ORCHESTRATOR_SESSIONS_URL" in service["environment"]
    }
    assert knowing == {"session-recorder", "cli"}


def test_every_image_can_be_named_by_digest() -> None:
    images = re.findall(r"^ *image: (.*)$", COMPOSE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(images) == 5
    assert all(re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[^}]+\}", image) for image in images), images


def test_ports_are_open_on_this_machine_only(model: dict[str, Any]) -> None:
    for name, service in model["services"].items():
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name


def test_folders_of_the_checkout_exist(model: dict[str, Any]) -> None:
    for name, service in ours(model).items():
        binds = [Path(one["source"]) for one in service.get("volumes", ()) if one["type"] == "bind"]
        assert all(path.is_relative_to(ROOT) and path.is_dir() for path in binds), name


def test_the_commands_that_the_documentation_shows_are_about_this_file(model: dict[str, Any]) -> None:
    pages = [
        COMPOSE.read_text(encoding="utf-8"),
        SECURE.read_text(encoding="utf-8"),
        (ROOT / "docs" / "containers.md").read_text(encoding="utf-8"),
    ]
    shown = [
        line for page in pages for line in re.findall(r"^(?:#\s+)?docker compose (.*)$", page, re.MULTILINE)
    ]
    assert len(shown) == 9
    for line in shown:
        words = shlex.split(line, comments=True)
        assert words[:2] == ["-f", "deploy/compose.yaml"], line
        if words[2] == "-f":
            assert words[3] == "deploy/compose.secure.yaml", line
            del words[2:4]
        if words[2] == "run":
            assert words[4] in model["services"], line
            helped = CliRunner().invoke(app, [words[5], "--help"])
            assert helped.exit_code == 0, line
            assert all(word in helped.stdout for word in words[6:] if word.startswith("--")), line


def _names(command: list[str]) -> list[str]:
    words = command[1:]
    return words[: words.index("--module")] if "--module" in words else words
