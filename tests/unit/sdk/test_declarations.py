"""Every mistake of a module's declarations is reported at once, and what is declared wrongly is never used."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.sdk import ConfigurationError, Plugins, Service, Tool, discover, tool
from orchestrator.sdk.plugins import find, load_module

EVERY_KIND = """
from orchestrator.sdk import (
    Bundle, Isolation, PluginSettings, Service, evaluator, middleware, planner, recovery, reviewer, sink,
    subscriber, tool, tool_selector,
)
from orchestrator.sdk.messages import events


@tool("good", timeout="2s")
def good(item: str) -> int:
    return 3


@tool("many", timeout="soon", isolation="thread")
def many(*items: str) -> int:
    return 3


@tool("large", isolation=Isolation(memory="much", open_files=1))
def large() -> int:
    return 3


@tool("late", timeout=1.5)
def late() -> int:
    return 3


class Made(Bundle):
    def __init__(self):
        self._tools = [tool("made")(lambda *items: 3)]

    def plugins(self):
        return self._tools


made = Made()


@planner("plans")
async def plans():
    ...


@evaluator("judges")
async def judges(request, context, more):
    ...


@recovery("recovers")
async def recovers(failed):
    yield failed


@reviewer("reviews")
async def reviews(a, b, c):
    ...


chooses = tool_selector("chooses")("not a function")


@subscriber("*Failed")
async def watches():
    ...


@middleware()
async def wraps(message):
    ...


@sink("ledger")
class Ledger:
    def write(self, batch, positions):
        ...


class StockSettings(PluginSettings, prefix="stock"):
    limit: int = 10


class KafkaSettings(PluginSettings, prefix="KAFKA"):
    limit: int = 10


service = Service("restock")


@service.on(events.ToolCompleted)
async def completed(message):
    ...


@service.on(events.ToolCompleted)
async def again(message, context):
    ...
"""
PROBLEMS = [
    "tool many: its timeout: 'soon' is not a duration",
    "tool many: *items cannot be given",
    "tool many: isolation='thread' is not known",
    "isolation: 'much' is not a size",
    "isolation: open_files must be at least 16",
    "tool late: its timeout 1.5 is not a duration",
    "tool made: *items cannot be given",
    "the function plans: it cannot be called with (request)",
    "the function judges: it cannot be called with (request, context)",
    "the function recovers: it has a `yield`",
    "the function reviews: it cannot be called with (request, context)",
    "the function str: it is no function",
    "the function watches: it cannot be called with (request)",
    "middleware wraps: it cannot be called with (message, context, call_next)",
    "sink ledger has no method positions, close",
    "StockSettings: 'stock' cannot be a prefix",
    "KafkaSettings: 'KAFKA' cannot be a prefix",
    "service restock: the handler completed: it cannot be called",
    "service restock has two handlers for ToolCompleted",
]
TWO = """
from orchestrator.sdk import tool

@tool("one")
def one(*values: int) -> int:
    return 1

@tool("two", timeout="never")
def two() -> int:
    return 2
"""


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Afterwards no module of a test is left."""
    yield
    for name in [name for name in sys.modules if "acme" in name]:
        del sys.modules[name]


def written(file: Path, text: str) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return str(file)


def said(problems: list[str], file: str) -> list[str]:
    """The problems without the module's name, which each begins with."""
    assert all(problem.startswith(f"module {file}: ") for problem in problems), problems
    return [problem.removeprefix(f"module {file}: ") for problem in problems]


def test_every_mistake_of_every_kind_is_one_line(tmp_path: Path) -> None:
    file = written(tmp_path / "acme.py", EVERY_KIND)

    _, problems = find([file])

    assert len(problems) == len(PROBLEMS), problems
    for problem, expected in zip(said(problems, file), PROBLEMS, strict=True):
        assert problem.startswith(expected)
        assert "\n" not in problem


def test_what_is_declared_well_is_checked_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = """
from orchestrator.sdk import PluginSettings, Service

class StockSettings(PluginSettings, prefix="STOCK"):
    limit: int = 10

idle = Service("idle")
"""
    file = written(tmp_path / "acme.py", TWO + settings)
    monkeypatch.setenv("ORCHESTRATOR_STOCK_LIMIT", "many")

    plugins, problems = find([file])

    assert [problem.partition(":")[0] for problem in problems[2:]] == [
        "service idle has no handler",
        "ORCHESTRATOR_STOCK_LIMIT",
    ]
    assert "idle" in plugins.by_name(Service)
    assert not {"one", "two"} & plugins.by_name(Tool).keys()


def test_a_module_that_breaks_off_is_reported_with_the_mistakes_before(tmp_path: Path) -> None:
    file = written(tmp_path / "acme.py", TWO + "\nprint(two.definition.name)\n")

    _, problems = find([file])

    assert [problem.partition(file)[2][:28] for problem in problems] == [
        ": tool one: *values cannot b",
        ": tool two: its timeout: 'ne",
        " cannot be loaded further: A",
    ]


def test_every_name_that_is_used_twice_is_reported(tmp_path: Path) -> None:
    twice = """
from orchestrator.sdk import Service, subscriber, tool

a, b = [tool("same")(lambda: 1) for _ in range(2)]
c, d = [tool("other")(lambda: 1) for _ in range(2)]
"""
    file = written(tmp_path / "acme.py", twice)

    assert [problem.partition(" have the name ")[2] for problem in find([file])[1]] == [
        "same: rename one of them",
        "other: rename one of them",
    ]


def test_every_service_that_cannot_be_is_reported(tmp_path: Path) -> None:
    wrong = """
from orchestrator.sdk import reviewer, subscriber

@subscriber("Tee*", group="a")
async def first(event): ...

@subscriber("Coffee*", group="b")
async def second(event): ...

@subscriber("*", group="c")
async def third(event): ...

@reviewer("x", group="c")
async def fourth(request): ...
"""
    plugins, problems = find([written(tmp_path / "acme.py", wrong)])
    assert problems == []

    with pytest.raises(ConfigurationError) as raised:
        plugins.every_service()

    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "subscriber a",
        "subscriber b",
        "two services have the name c",
    ]


def test_an_import_of_ones_own_raises_at_the_first_declaration(tmp_path: Path) -> None:
    file = written(tmp_path / "acme.py", TWO)

    with pytest.raises(ConfigurationError, match=r"^tool one: \*values cannot be given") as raised:
        load_module(file)

    assert [entry.lineno + 1 for entry in raised.traceback if str(entry.path) == file] == [4]


def test_a_module_with_mistakes_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a package, one of whose modules is wrong
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path / "acme_shop" / "__init__.py", "")
    written(tmp_path / "acme_shop" / "tools.py", TWO)
    written(tmp_path / "acme_shop" / "plugins.py", "from acme_shop.tools import one\n")
    package = importlib.import_module("acme_shop")

    # when it is loaded once
    first = find(["acme_shop.plugins"])[1]

    # then it is wrong whoever loads it again, and right once it is mended
    assert len(first) == 2
    assert find(["acme_shop.plugins"])[1] == first
    assert "acme_shop.tools" not in sys.modules
    assert not {"tools", "plugins"} & vars(package).keys()
    assert sys.modules["acme_shop"] is package
    mended = TWO.replace("*values", "values").replace("never", "2s")
    written(tmp_path / "acme_shop" / "tools.py", mended + "# mended\n")
    importlib.invalidate_caches()
    assert "one" in discover(["acme_shop.plugins"]).by_name(Tool)


def test_modules_and_objects_that_are_given_are_refused_together() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Plugins.of("tea", 7)  # type: ignore[arg-type]

    assert len(raised.value.problems) == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stock level", "it has blanks"),
        ("stock.\x1b[31mlevel", "it has blanks or characters that cannot be printed"),
        ("stock\nlevel", "it has blanks"),
        ("n" * 201, "it has 201 characters; at most 200"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as raised:

        @tool(name)
        def level(item: str) -> int:
            return len(item)

    (problem,) = raised.value.problems
    assert f"its name: {reason}" in problem
