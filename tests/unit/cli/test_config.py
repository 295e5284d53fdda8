"""`config check` and `config show`."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


def test_settings_in_order_say_so(run: Run) -> None:
    assert run("config", "check").out == "the settings are in order\n"
    assert run("config", "check", "-o", "json").document == {"problems": []}


def test_mistakes_of_every_kind_are_told_together(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.joinpath("orchestrator.toml").write_text('slot = -1\nmodules = ["nowhere_at_all"]\n')
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", "mysql")

    ended = run("config", "check", "--module", "missing.py", "-o", "json")

    assert ended.code == 3
    problems = ended.error["problems"]
    assert len(problems) == 3
    assert problems[0].startswith("slot (in the file)")
    assert problems[1].startswith("module missing.py cannot be loaded")
    assert problems[2].startswith("ORCHESTRATOR_SESSIONS_URL is no database URL")


def test_secrets_are_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("ORCHESTRATOR_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO", "me:hunter2")
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", "postgresql://me:hunter2@db/sessions")

    for output in ("text", "json"):
        shown = run("config", "show", "-o", output).out
        assert "hunter2" not in shown
        assert "sasl.password" in shown
        assert "postgresql://me:***@db/sessions" in shown


def test_what_holds_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    place.joinpath("other.toml").write_text('topic_prefix = "file."\npartitions = 3\nslot = 5\n')
    monkeypatch.setenv("ORCHESTRATOR_CONFIG", "other.toml")
    monkeypatch.setenv("ORCHESTRATOR_PARTITIONS", "4")

    shown = run("config", "show", "--topic-prefix", "flag.", "-o", "json").document

    assert (shown["topic_prefix"], shown["partitions"], shown["slot"]) == ("flag.", 4, 5)
