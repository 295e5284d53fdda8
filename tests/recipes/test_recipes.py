"""The recipes hold: their places and checks exist, and one is followed, forgetting each place once."""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.recipes.ping_session import COMMAND, EVENT, Written
from tests.support.recipes import ROOT, Place, recipes
from tests.support.scratch import Scratch

RECIPES = recipes()
ADD_A_COMMAND, ADD_AN_EVENT = "Add a command to sessions", "Add an event of the orchestrator"
PLACES = [
    pytest.param(place, id=f"{recipe}: {place.file}") for recipe in RECIPES for place in RECIPES[recipe]
]
NAMES = {
    "commands/NAME": "commands/PingSession",
    "events/NAME": "events/SessionPinged",
    "requests/*": "requests/ping_session",
}
STEPS = [*((ADD_A_COMMAND, written) for written in COMMAND), *((ADD_AN_EVENT, written) for written in EVENT)]


def test_there_is_a_recipe_for_everything_that_grows() -> None:
    assert list(RECIPES) == [
        ADD_A_COMMAND,
        ADD_AN_EVENT,
        "Add a reply of a service",
        "Add a kind of call",
        "Add a tool",
        "Add a value store",
        "Add a service",
        "Add a role of plug-ins",
        "Add a setting of the platform",
        "Add a setting of a plug-in",
    ]
    assert all(RECIPES.values())
    assert all(len(places) <= 12 for places in RECIPES.values())


@pytest.mark.parametrize("place", PLACES)
def test_the_place_and_its_check_exist(place: Place) -> None:
    assert list(ROOT.glob(re.sub("NAME", "*", place.file))), f"{place.file} does not exist"
    if place.check.startswith("make "):
        assert re.search(
            rf"^{place.check.removeprefix('make ')}:", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
        return
    file, _, test = place.check.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not test or test in functions, f"{file} has no test {test}"


@pytest.mark.parametrize(("recipe", "written"), [(ADD_A_COMMAND, COMMAND), (ADD_AN_EVENT, EVENT)])
def test_the_example_writes_the_places_of_its_recipe(recipe: str, written: tuple[Written, ...]) -> None:
    assert [(step.file, step.what) for step in written] == [
        (_named(place.file), place.what) for place in RECIPES[recipe]
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """A copy of the project in which both recipes were followed."""
    scratch = Scratch(tmp_path_factory.mktemp("recipes") / "project")
    for _, step in STEPS:
        scratch.write(step.file, step.change(scratch.read(step.file) or ""))
    for command in (
        ("scripts/generate_models.py",),
        ("-m", "tests.golden.record"),
        ("scripts/generate_docs.py",),
    ):
        done = scratch.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return scratch


def test_who_follows_the_recipes_passes_their_checks(project: Scratch) -> None:
    assert project.passes(*dict.fromkeys(_check(recipe, step) for recipe, step in STEPS))


@pytest.mark.parametrize(("recipe", "forgotten"), STEPS, ids=lambda step: getattr(step, "file", ""))
def test_a_forgotten_place_fails_its_check(project: Scratch, recipe: str, forgotten: Written) -> None:
    with _without(project, forgotten):
        assert not project.passes(_check(recipe, forgotten))


@contextmanager
def _without(project: Scratch, forgotten: Written) -> Iterator[None]:
    """The project as if one place had been forgotten."""
    file = forgotten.file
    complete = {name: project.read(name) for name in (file, forgotten.generates) if name}
    original = ROOT / file
    text = original.read_text(encoding="utf-8") if original.exists() else None
    for _, step in STEPS:
        if step.file == file and step is not forgotten:
            text = step.change(text or "")
    for name in complete:
        project.write(name, text if name == file else None)
    try:
        yield
    finally:
        for name, whole in complete.items():
            project.write(name, whole)


def _check(recipe: str, step: Written) -> str:
    [check] = [
        place.check for place in RECIPES[recipe] if (_named(place.file), place.what) == (step.file, step.what)
    ]
    return check


def _named(file: str) -> str:
    """A place of the recipe, with the example's name."""
    for placeholder, name in NAMES.items():
        file = file.replace(placeholder, name)
    return file
