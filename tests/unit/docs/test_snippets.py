"""Code, documents and answers that pages show are right: those of the README are run together.

`docs/extending.md` is run by `tests/e2e/test_extending.py`, values of the chart by `tests/deploy/test_docs.py`.
"""

import ast
import asyncio
import inspect
import json
import re
import shlex
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.app.settings import Settings
from orchestrator.cli.main import app
from orchestrator.client import Client
from orchestrator.sdk import parse_documents
from orchestrator.sdk.plugins import ENTRY_POINT_GROUP, load_module
from orchestrator.sessions.store import SessionStore
from orchestrator.testing import Harness
from tests.support.analysts import history_of
from tests.support.environment import clear_settings
from tests.support.pages import ROOT, blocks, commands, inline
from tests.support.recording import record

README = ROOT / "README.md"
EXTENDING = ROOT / "docs" / "extending.md"
CLI = ROOT / "docs" / "cli.md"
DEPLOY = ROOT / "docs" / "deploy.md"


def file_of(block: str) -> tuple[str, str]:
    """Where a block says that it belongs, and its text."""
    head, _, text = block.partition("\n")
    assert head.startswith("# "), f"say in which file this belongs: {head}"
    return head.removeprefix("# "), text


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


async def test_the_agent_of_the_readme_does_the_task_of_the_readme(tmp_path: Path) -> None:
    files = dict(file_of(block) for block in blocks(README, "python", "yaml"))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    shown = {words[1]: words for words in commands(README) if words[0] == "orchestrator"}
    module = load_module(str(tmp_path / option(shown["dev"], "--module")))
    folder = shown["agents"][-1]
    documents = [tmp_path / name for name in files if name.startswith(folder)]
    assert documents

    async with Harness(module, documents=documents) as harness:
        session = await harness.submit(shown["submit"][2], agent=option(shown["submit"], "--agent"))

    assert session.result == {"pieces": 3}


def test_the_client_of_the_readme_takes_what_is_shown() -> None:
    (shown,) = [text for text in inline(README) if "Client(" in text]
    call = ast.parse(shown.removeprefix("await ").replace("…", "..."), mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    method = getattr(Client, call.func.attr)
    inspect.signature(method).bind(None, *call.args, **{word.arg or "": word.value for word in call.keywords})


@pytest.mark.parametrize("text", blocks(EXTENDING, "yaml"))
def test_documents_are_accepted(text: str) -> None:
    assert parse_documents(text, "agent.yaml").profiles


@pytest.mark.parametrize("text", blocks(EXTENDING, "toml"))
def test_the_entry_point_is_ours(text: str) -> None:
    assert tomllib.loads(text)["project"]["entry-points"].keys() == {ENTRY_POINT_GROUP}


def test_the_error_that_is_shown_has_the_fields_of_one(tmp_path: Path) -> None:
    (text,) = blocks(CLI, "json")
    shown = json.loads(text)["error"]
    ended = CliRunner().invoke(
        app, ["config", "show", "--output", "json", "--config", str(tmp_path / "none.toml")]
    )
    real = json.loads(ended.stderr)["error"]
    assert shown.keys() == real.keys()
    assert shown["type"] == real["type"]


def test_the_conversation_that_is_shown_is_printed_like_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = [text for text in blocks(CLI, "console") if "sessions conversation" in text]
    monkeypatch.chdir(tmp_path)
    # Whoever runs all tests on servers of their own names those in the environment.
    monkeypatch.setenv("ORCHESTRATOR_TEST_BOOTSTRAP_SERVERS", "kafka:9092")
    clear_settings(monkeypatch)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", f"sqlite:///{tmp_path / 'sessions.sqlite'}")
    session, history = asyncio.run(history_of("analyst", tmp_path / ".data" / "values"))
    with closing(SessionStore(f"sqlite:///{tmp_path / 'sessions.sqlite'}")) as store:
        record(store, history)

    command, _, text = shown.partition("\n")
    words = [session if word == "ID" else word for word in shlex.split(command)]
    ended = CliRunner().invoke(app, words[2:])

    assert ended.stdout == text


def test_plug_ins_in_values_can_be_loaded(tmp_path: Path) -> None:
    sources = [source for text in blocks(DEPLOY, "yaml") for source in python_files(yaml.safe_load(text))]
    assert sources
    for number, source in enumerate(sources):
        file = tmp_path / f"plugin_{number}.py"
        file.write_text(source)
        assert load_module(str(file))


def python_files(values: Any) -> list[str]:
    """The files called `*.py` in values of the chart."""
    if not isinstance(values, dict):
        return []
    found = []
    for key, value in values.items():
        if isinstance(value, str) and str(key).endswith(".py"):
            found.append(value)
        else:
            found += python_files(value)
    return found


def test_settings_that_are_shown_exist() -> None:
    """Variables in shell blocks of the command line's page, which sets an installation up."""
    exported = [word for words in commands(CLI) if words[0] == "export" for word in words[1:]]
    names = [re.sub(r"=.*", "", word).removeprefix("ORCHESTRATOR_").lower() for word in exported]
    assert names
    assert set(names) <= set(Settings.model_fields), shlex.join(names)
