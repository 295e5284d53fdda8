"""Log lines name their session, and secrets are redacted."""

import io
import json
import logging

import pytest

from orchestrator.telemetry import logs
from orchestrator.telemetry.redaction import Redaction

SESSION = "0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_session_trace_and_extra_fields(stream: io.StringIO) -> None:
    logs.configure(format="json", stream=stream)
    with logs.session(SESSION):
        logging.getLogger("x.y").info("step %s is ready", "routes", extra={"attempt": 2})
    logging.getLogger("x").warning("no session", extra={"correlation_id": "given"})
    first, second = lines(stream)
    assert {name: first[name] for name in ("level", "logger", "message", "correlation_id", "attempt")} == {
        "level": "info",
        "logger": "x.y",
        "message": "step routes is ready",
        "correlation_id": SESSION,
        "attempt": 2,
    }
    assert first["trace_id"] == SESSION.replace("-", "")
    assert str(first["time"]).endswith("+00:00")
    assert second["correlation_id"] == "given"


def test_an_error_is_one_line_with_its_stack(stream: io.StringIO) -> None:
    logs.configure(format="json", stream=stream)
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        logging.getLogger("x").exception("failed")
    [line] = lines(stream)
    assert line["error"] == "ValueError"
    assert "Traceback" in str(line["stack"])
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "human"])
@pytest.mark.parametrize(
    "text",
    [
        "the setting is s3cr3t-value",
        'sasl.password="hunter2"',
        "sasl.password: hunter2",
        "basic.auth.user.info=user:hunter2",
        "Authorization: Bearer hunter2hunter2",
        "http://user:hunter2@registry:8081/subjects",
        '{"api_key": "hunter2"}',
        "with sk-proj-hunter2hunter2 it works",
    ],
)
def test_secrets_are_redacted_in_any_form(stream: io.StringIO, form: logs.Format, text: str) -> None:
    logs.configure(format=form, secrets=["s3cr3t-value", ""], stream=stream)
    logging.getLogger("x").warning("%s", text, extra={"password": "hunter2"})
    assert "hunter2" not in stream.getvalue()
    assert "s3cr3t" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_what_only_resembles_a_secret_is_kept(stream: io.StringIO) -> None:
    logs.configure(format="json", stream=stream)
    logging.getLogger("x").info("tokens: 500, key order-17, at a:b@c", extra={"tokens": 500})
    assert lines(stream)[0]["message"] == "tokens: 500, key order-17, at a:b@c"
    assert lines(stream)[0]["tokens"] == 500


def test_a_human_line_ends_with_its_session(stream: io.StringIO) -> None:
    logs.configure(format="human", stream=stream)
    with logs.session(SESSION):
        logging.getLogger("x").info("ready [not markup]")
    assert f"ready [not markup]  ({SESSION})" in stream.getvalue()


def test_auto_is_json_without_a_terminal(stream: io.StringIO) -> None:
    logs.configure(level="warning", stream=stream)
    logging.getLogger("x").info("left out")
    logging.getLogger("x").warning("kept")
    assert [line["message"] for line in lines(stream)] == ["kept"]


@pytest.mark.parametrize("form", ["json", "human"])
def test_an_error_of_any_length_and_any_text_is_a_line_that_can_be_written(form: logs.Format) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", errors="strict")
    logging_to = logging.getLogger("any.text")
    logs.configure(format=form, stream=stream)
    try:
        raise ValueError(f"half \ud800 password=hunter22 {'x' * 10_000_000}")
    except ValueError:
        logging_to.exception("half \udfff")
    stream.flush()

    assert 0 < len(raw.getvalue()) < 50_000
    assert b"hunter22" not in raw.getvalue()


def test_a_secret_that_is_cut_in_two_is_not_shown_in_part() -> None:
    secret = "https://me:" + "hunter2-" * 50 + "@db/sessions"

    for shift in range(0, 8_000, 37):
        begin, end = "x " * 3_500 + "y" * shift, "y" * (8_000 - shift) + " x" * 3_500
        shown = logs.bounded(f"{begin}{secret}{' z' * 15_000} {secret}{end}", Redaction())

        assert "hunter2-" not in shown
        assert len(shown) < logs.LONGEST + 200
        assert " characters …\n" in shown
