"""The link to a session's trace, if the settings have the address of a trace viewer."""

from pathlib import Path

import pytest

from orchestrator.sessions.store import SessionStore
from tests.support.recording import record
from tests.support.stories import completed_triage
from tests.unit.cli.conftest import Installation, Run

PAGE = "http://127.0.0.1:16686/trace/"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ORCHESTRATOR_TRACE_URL", PAGE + "{trace_id}")
    return PAGE


def test_submit_shows_the_link_on_stderr(run: Run, installation: Installation, page: str) -> None:
    ended = run("submit", "with a link")

    session = ended.out.strip()
    assert ended.err == f"trace {page}{session.replace('-', '')}\n"


def test_the_link_is_in_the_json_document(run: Run, installation: Installation, page: str) -> None:
    document = run("submit", "with a link", "-o", "json").document

    assert document["trace_url"] == page + document["correlation_id"].replace("-", "")


def test_a_session_is_shown_with_its_link(run: Run, store: SessionStore, page: str) -> None:
    story = completed_triage("linked")
    record(store, story.events, 0)
    link = page + story.correlation_id.replace("-", "")

    assert f"trace    {link}\n" in run("sessions", "show", story.correlation_id).out
    assert run("sessions", "show", story.correlation_id, "-o", "json").document["trace_url"] == link


def test_without_a_trace_viewer_there_is_no_link(run: Run, store: SessionStore) -> None:
    story = completed_triage("not linked")
    record(store, story.events, 0)

    assert "trace " not in run("sessions", "show", story.correlation_id).out
    assert "trace_url" not in run("sessions", "show", story.correlation_id, "-o", "json").document


@pytest.mark.parametrize("url", ["http://127.0.0.1:16686/trace/", "127.0.0.1:16686/trace/{trace_id}"])
def test_a_trace_url_without_a_place_for_the_id_is_a_mistake(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_TRACE_URL", url)

    ended = run("config", "check")

    assert ended.code == 3
    assert "trace_url (from ORCHESTRATOR_TRACE_URL): write an http or https URL with {trace_id}" in ended.err


def test_a_missing_jaeger_is_reported_before_anything_starts(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_JAEGER", "/nowhere/jaeger")

    ended = run("dev", "--jaeger")

    assert ended.code == 3
    assert "program /nowhere/jaeger not found" in ended.err
    assert not (place / ".data").exists()
