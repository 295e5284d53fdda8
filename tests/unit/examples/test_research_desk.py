"""The research desk on the test harness: it answers from what its tools returned, whatever that is."""

import asyncio
import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.demo import DESK
from orchestrator.messages import events
from orchestrator.messages.types import Plan
from orchestrator.sdk.settings import PluginSettings
from orchestrator.testing import Harness, HarnessSession
from tests.support import desk_example

DOCUMENTS = [desk_example.FOLDER / "agent.yaml"]
KETTLE = "FJ-17"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data, in the folder that tools may read."""
    folder = tmp_path / "files"
    shutil.copytree(desk_example.DATA, folder)
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_FILES_ROOT", str(folder))
    return folder


async def asked(*, goal: str = DESK.goal, documents: list[Path | str] | None = None) -> HarnessSession:
    """A settled session. The first request imports the client of models, which takes long on a busy machine."""
    async with Harness(
        desk_example.load(), documents=DOCUMENTS if documents is None else documents, timeout_s=120
    ) as harness:
        return await harness.submit(goal, agent="desk")


@pytest.fixture(scope="module")
def session() -> HarnessSession:
    """A settled session about the files as they are."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ORCHESTRATOR_TOOLS_FILES_ROOT", str(desk_example.DATA))
        return asyncio.run(asked())


def plans(session: HarnessSession) -> list[Plan]:
    return [event.plan for event in session.of(events.PlanAccepted)]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sources(session: HarnessSession) -> set[str]:
    return {citation["source"] for citation in session.result["citations"]}


def test_it_finds_reads_compares_and_thinks_around_what_is_not_there(session: HarnessSession) -> None:
    assert session.outcome == "COMPLETED"
    turns = [Counter(step.tool for step in plan.steps) for plan in plans(session)]
    assert turns == [
        {"files.list": 1, "files.search": 1},
        {"files.read": 6},
        {"files.read": 1, "values.read": 1, "sql.query": 2},
        {"sql.query": 1, "files.search": 1},
        {"files.read": 1},
        {},
    ]
    (failed,) = session.of(events.StepFailed)
    assert "lab/element-report.md" in failed.failure.message
    assert session.result["missing"] == ["lab/element-report.md"]
    assert "lab/2026-08-limescale.md" in sources(session)


def test_its_figures_are_those_of_another_computation(session: HarnessSession) -> None:
    sold = sum(
        int(row["units"]) for row in table(desk_example.DATA / "sales/2026-q3.csv") if row["sku"] == KETTLE
    )
    returned = [row for row in table(desk_example.DATA / "returns/2026-q3.csv") if row["sku"] == KETTLE]
    reason, often = Counter(row["reason"] for row in returned).most_common(1)[0]

    answer = session.result["answer"]
    assert f"{len(returned)} of {sold} {KETTLE}, {100 * len(returned) / sold:.1f} %" in answer
    assert f"{often} of them for the reason {reason}" in answer
    assert returned[-1]["comment"] in answer


def test_citations_are_words_of_their_sources(session: HarnessSession) -> None:
    documents = [one for one in session.result["citations"] if one["source"].endswith(".md")]
    assert len(documents) == 4
    for one in documents:
        text = " ".join((desk_example.DATA / one["source"]).read_text(encoding="utf-8").split())
        assert one["says"] in text


def test_of_two_documents_that_contradict_each_other_the_right_one_holds(session: HarnessSession) -> None:
    (conflict,) = session.result["conflicts"]
    assert "support-handbook.md says 12 months" in conflict
    assert "warranty-terms.md says 24 months" in conflict
    assert "covers it for 24 months" in session.result["answer"]


def _agree(files: Path) -> None:
    _replace(files / "policies/support-handbook.md", "for 12 months", "for 24 months")


def _no_rule(files: Path) -> None:
    _replace(
        files / "policies/support-handbook.md", "Where this handbook", "Nobody knows whether this handbook"
    )
    _replace(files / "policies/support-handbook.md", "differ, the warranty terms hold", "match")


def _found(files: Path) -> None:
    shutil.copy(files / "lab/2026-08-limescale.md", files / "lab/element-report.md")


def _more_lids(files: Path) -> None:
    _replace(files / "returns/2026-q3.csv", ",heating element,", ",lid,")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(_agree, {"conflicts": []}, id="the documents agree"),
        pytest.param(_no_rule, {"answer": "Whether the warranty covers it is open"}, id="no rule decides"),
        pytest.param(_found, {"missing": []}, id="the report is there"),
        pytest.param(_more_lids, {"answer": "for the reason lid"}, id="another reason leads"),
    ],
)
async def test_other_files_lead_to_another_answer(
    files: Path, change: Callable[[Path], None], expected: dict[str, Any]
) -> None:
    change(files)

    session = await asked()

    for name, value in expected.items():
        found = session.result[name]
        assert value in found if isinstance(value, str) else found == value


@pytest.mark.usefixtures("files")
async def test_in_the_last_turn_it_answers_with_what_it_knows() -> None:
    text = DOCUMENTS[0].read_text(encoding="utf-8")
    short = text.replace("turns: 12", "turns: 4").replace("{file: instructions.md}", "Be brief.")

    session = await asked(documents=[short])

    assert session.outcome == "COMPLETED"
    assert session.state.turn == 4
    assert "67 of 1040" in session.result["answer"]


def test_what_it_used_is_counted(session: HarnessSession) -> None:
    used = session.state.used
    assert (used.model_requests, used.tool_calls) == (6, 15)
    assert 0 < used.cost_micro_usd < 20_000


def test_one_variable_names_the_model_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-one")
    monkeypatch.setenv("ORCHESTRATOR_RESEARCH_DESK_MODEL", "openai-chat:gpt-5-mini")

    module = desk_example.load()

    assert issubclass(module.DeskSettings, PluginSettings)
    assert module.desk.build().model_name == "gpt-5-mini"
