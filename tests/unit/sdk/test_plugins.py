"""Plug-ins in files: each is a module of its own, which takes the place of no other."""

import importlib
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.sdk import ConfigurationError, Tool, discover
from orchestrator.sdk.plugins import load_module

WEATHER = """
from dataclasses import dataclass

from pydantic import BaseModel

from orchestrator.sdk import tool


@dataclass(frozen=True)
class Sky:
    clouds: "Clouds"


class Clouds(BaseModel):
    beneath: "Clouds | None" = None


@tool("weather")
def weather(clouds: Clouds) -> Clouds:
    return clouds
"""


def written(file: Path, text: str = "") -> str:
    """A file with this text, made where it is missing, and its path."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return str(file)


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Afterwards each module that was imported before is in its place again."""
    before = sys.modules.copy()
    yield
    sys.modules.update(before)


def test_a_file_hides_no_module_of_its_name(tmp_path: Path) -> None:
    file = written(tmp_path / "json.py", "loads = None\n")

    loaded = load_module(file)

    assert loaded is not json
    assert sys.modules["json"] is json
    assert importlib.import_module("json") is json


def test_a_module_of_its_name_can_be_imported_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "installed" / "acme_tools.py", "PLACE = 'installed'\n")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    load_module(written(tmp_path / "acme_tools.py", "PLACE = 'file'\n"))

    assert importlib.import_module("acme_tools").PLACE == "installed"


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    files = [written(tmp_path / folder / "tools.py", f"PLACE = '{folder}'\n") for folder in ("a", "b")]

    first, second = map(load_module, files)

    assert (first.PLACE, second.PLACE) == ("a", "b")
    assert registered(first)
    assert registered(second)


def test_a_file_is_run_once_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "acme.py", WEATHER)
    monkeypatch.chdir(tmp_path)

    assert load_module("acme.py") is load_module(file)
    assert "weather" in discover([file, "acme.py"]).by_name(Tool)


def test_a_file_has_the_same_module_name_in_every_process(tmp_path: Path) -> None:
    file = written(tmp_path / "acme.py", WEATHER)
    here = load_module(file)
    del sys.modules[here.__name__]

    elsewhere = load_module(file)

    assert elsewhere is not here
    assert elsewhere.__name__ == here.__name__


@pytest.mark.parametrize("name", ["acme.py", "acme-tools.v2.py", "wetter_für_köln.py", "1.py"])
def test_what_a_file_declares_can_be_pickled_and_described(tmp_path: Path, name: str) -> None:
    loaded = load_module(written(tmp_path / name, WEATHER))
    sky = loaded.Sky(clouds=loaded.Clouds(beneath=loaded.Clouds()))

    assert pickle.loads(pickle.dumps(sky)) == sky  # noqa: S301 - what was just written
    assert "Clouds" in loaded.weather.definition.arguments_schema


def test_a_file_that_failed_is_run_again(tmp_path: Path) -> None:
    before = set(sys.modules)
    file = written(tmp_path / "acme.py", "raise RuntimeError('no licence')\n")
    with pytest.raises(ConfigurationError, match="no licence"):
        discover([file])
    assert not {name for name in set(sys.modules) - before if "acme" in name}

    written(Path(file), "LICENCE = 'bought'\n")

    assert load_module(file).LICENCE == "bought"


def test_a_file_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.py does not exist"):
        discover([str(tmp_path / "none.py")])


def registered(module: ModuleType) -> bool:
    return sys.modules.get(module.__name__) is module
