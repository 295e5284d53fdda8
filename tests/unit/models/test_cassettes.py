"""Sessions with recordings of a provider's traffic: recorded from a server, replayed when it is gone."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from orchestrator_services.models import TurnRequest
from orchestrator_services.models.client import PydanticModelClient

from orchestrator.messages import events
from orchestrator.messages.types import FailureKind, ModelPolicy, Usage
from orchestrator.sdk import tool
from orchestrator.testing import Harness, HarnessSession, NotRecordedError, cassette
from orchestrator.testing.cassettes import RECORD
from tests.support.model_server import ModelServer
from tests.unit.models.support import context_in
from tests.unit.services.support import World

pytestmark = pytest.mark.usefixtures("each_way")

CREDENTIAL = "a-credential-of-the-test"
MODEL = "openai-chat:counter"
AGENT = f"""
agent: counter
planner: react
model: {MODEL}
tools: {{allow: [stock.level]}}
"""


@tool("stock.level")
def level(item: str) -> int:
    """How many pieces there are."""
    return {"apple": 3, "pear": 5}[item]


@dataclass
class Recording:
    """What was recorded, and what the sessions were that it was recorded of."""

    url: str
    file: Path
    used: Usage = field(default_factory=Usage)


def with_cassette(file: Path) -> Harness:
    return Harness(level, documents=[AGENT], cassette=file, timeout_s=60)


async def submitted(harness: Harness, goal: str = "How many apples and pears?") -> HarnessSession:
    async with harness:
        return await harness.submit(goal, agent="counter")


@pytest.fixture
async def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A session is recorded, then its server is gone, and so is the credential."""
    with ModelServer("tests.unit.models.recorded_scripts") as server, monkeypatch.context() as patch:
        made = Recording(server.url, tmp_path / "cassettes" / "counter.yaml")
        patch.setenv("OPENAI_BASE_URL", server.url)
        patch.setenv("OPENAI_API_KEY", CREDENTIAL)
        patch.setenv(RECORD, "1")
        session = await submitted(with_cassette(made.file))
        assert session.result == "3 and 5"
        made.used = session.state.used
    monkeypatch.setenv("OPENAI_BASE_URL", made.url)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return made


async def test_a_session_is_replayed_without_its_server(recording: Recording) -> None:
    session = await submitted(with_cassette(recording.file))

    assert session.result == "3 and 5"
    assert session.state.used == recording.used
    assert recording.used.model_requests == 2


async def test_a_recording_holds_no_credential(recording: Recording) -> None:
    text = recording.file.read_text()

    assert CREDENTIAL not in text
    for one in yaml.safe_load(text)["interactions"]:
        assert set(one["request"]["headers"]) <= {"accept", "content-type"}
        assert set(one["response"]["headers"]) == {"content-type"}


async def test_a_request_that_differs_is_refused_once_and_says_how_to_record(recording: Recording) -> None:
    harness = with_cassette(recording.file)

    with pytest.raises(NotRecordedError) as raised:
        await submitted(harness, "How many pears?")

    failures = [one.failure for one in harness.produced if isinstance(one, events.PlanningFailed)]
    assert [(one.kind, one.code) for one in failures] == [(FailureKind.PERMANENT, "not_recorded")]
    text = str(raised.value)
    assert "counter.yaml has no response to POST http://127.0.0.1:" in text
    assert (
        'at /messages/1/content: "How many apples and pears?" was recorded, "How many pears?" is sent' in text
    )
    assert f"record again: run the test with {RECORD}=1" in text


async def test_a_model_is_replayed_without_a_session(recording: Recording) -> None:
    """Only the session's first request is in the file."""
    request = TurnRequest(model=ModelPolicy(name=MODEL), prompt="How many apples and pears?")

    with pytest.raises(NotRecordedError, match="at /messages/0"), cassette(recording.file):
        await PydanticModelClient().turn(request, context_in(World()))
