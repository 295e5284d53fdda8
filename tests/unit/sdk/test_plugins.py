"""Plug-ins in files and bundles. A file is a module of its own, which takes the place of no other."""

import importlib
import json
import pickle
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.sdk import Bundle, ConfigurationError, Plugin, Plugins, Service, Tool, discover, tool
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


class Pair(Bundle):
    """A tool and the service that needs it, or whatever else a test says."""

    def __init__(self, *members: object) -> None:
        self.members = members

    def plugins(self) -> Iterable[Plugin]:
        return self.members  # type: ignore[return-value]


@tool("rain")
def rain() -> bool:
    return True


def module(**members: object) -> ModuleType:
    made = ModuleType("acme")
    vars(made).update(members)
    return made


def test_a_bundle_stands_for_its_plug_ins() -> None:
    service = Service("weather")

    plugins = Plugins.of(module(pair=Pair(rain, service)))

    assert list(plugins) == [rain, service]


def test_a_bundle_can_be_given_by_itself_even_without_plug_ins() -> None:
    assert list(Plugins.of(Pair(rain), Pair())) == [rain]


def test_a_bundle_that_several_modules_name_counts_once() -> None:
    pair = Pair(rain)

    plugins = Plugins.of(module(pair=pair, rain=rain), module(imported=pair))

    assert list(plugins) == [rain]


def test_the_class_of_a_bundle_and_a_module_with_plug_ins_are_no_bundles() -> None:
    assert not list(Plugins.of(module(Bundle=Bundle, Pair=Pair, other=module(plugins=Plugins))))


def test_a_bundle_with_something_else_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match=r"Pair object .* has 'rain', which is not a plug-in"):
        Plugins.of(Pair(rain, "rain"))


def test_a_bundle_that_cannot_tell_its_plug_ins_is_reported_with_its_module(tmp_path: Path) -> None:
    source = """
from orchestrator.sdk import Bundle

class Broken(Bundle):
    def plugins(self):
        raise RuntimeError("no licence")

broken = Broken()
"""
    with pytest.raises(ConfigurationError, match=r"acme\.py cannot be loaded: RuntimeError: no licence"):
        discover([written(tmp_path / "acme.py", source)])


def test_names_in_bundles_are_unique_as_all_are() -> None:
    other = tool("rain")(lambda: False)

    with pytest.raises(ConfigurationError, match="two plug-ins of the role tool have the name rain"):
        Plugins.of(Pair(rain), Pair(other))


def test_a_service_without_a_handler_is_a_mistake(tmp_path: Path) -> None:
    file = written(tmp_path / "idle.py", "from orchestrator.sdk import Service\nidle = Service('idle')\n")

    with pytest.raises(ConfigurationError, match="service idle has no handler"):
        discover([file])
