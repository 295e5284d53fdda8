"""Text of others where people read it: in the output of commands and in logs."""

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.output import write_fields, write_json, write_line, write_note, write_table
from orchestrator.telemetry.logs import JsonFormatter, PlainFormatter
from orchestrator.telemetry.plain_text import indented, json_safe, one_line, printable
from orchestrator.telemetry.redaction import Redaction

ATTACKS = {
    "CSI": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "link": "\x1b]8;;https://evil.example\x1b\\here",
    "C1": "\x9b2J",
    "8-bit OSC": "\x9d0;x\x9c",
    "return": "done\rfailed",
    "backspace": "ab\x08\x08",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "marks": "\u200e\u200f\u061c",
    "separator": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "hidden": "a\u200bb\ufeffc\u2060d",
    "tags": "x\U000e0041\U000e0042",
    "half": "\ud800",
    "delete": "\x7f",
    "NUL": "\x00",
}
SHOWN = "Umlaute äöü, 漢字, 👩‍💻, 10\u202f%, a\u00a0b, می‌خواهم, \\x1b"


def is_clean(text: str) -> bool:
    """Whether a terminal only shows it: nothing but what is shown, and line ends."""
    hidden = set("".join(ATTACKS.values())) - set("".join(map(chr, range(0x20, 0x7F))))
    return hidden.isdisjoint(text)


@pytest.mark.parametrize("name", ATTACKS)
class TestAttacks:
    def test_are_escaped_in_text(self, name: str) -> None:
        for shown in (printable(ATTACKS[name]), one_line(ATTACKS[name]), indented(ATTACKS[name])):
            assert is_clean(shown)
            assert "\\" in shown

    def test_are_escaped_in_every_output_without_a_terminal(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_line(ATTACKS[name])
        write_note(ATTACKS[name])
        write_fields([("goal", ATTACKS[name])])
        write_table(("goal",), [(ATTACKS[name],)])
        write_json({"goal": ATTACKS[name]})

        written = capsys.readouterr()
        assert is_clean(written.out)
        assert is_clean(written.err)

    def test_are_in_json_what_they_were(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        write_json({"goal": ATTACKS[name]})

        assert json.loads(capsys.readouterr().out) == {"goal": ATTACKS[name]}

    def test_are_escaped_in_logs(self, name: str) -> None:
        record = logging.LogRecord("x", logging.INFO, "x.py", 1, "goal %s", (ATTACKS[name],), None)
        record.tenant = ATTACKS[name]

        line = JsonFormatter().format(record)
        assert is_clean(line)
        line.encode()
        assert json.loads(line)["message"] == f"goal {ATTACKS[name]}"
        assert is_clean(PlainFormatter().format(record))


def test_other_text_is_shown_as_it_is() -> None:
    assert printable(SHOWN) == one_line(SHOWN) == SHOWN


FORGED = "x\nphase    completed\n10:28:18.487   #34  TaskCompleted  paid\tme"


def test_no_text_forges_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_fields([("goal", FORGED), ("phase", "failed")])
    write_table(("goal", "phase"), [(FORGED, "failed")])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert not any(line.startswith(("phase    completed", "10:28")) for line in lines)


def test_what_accompanies_a_result_stays_below_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_note(f"warning: {FORGED}")

    assert [line[:2] for line in capsys.readouterr().err.splitlines()] == ["wa", "  ", "  "]


def test_a_log_line_for_people_is_one_line_and_an_error_is_below_it() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        record = logging.LogRecord("x", logging.INFO, "x.py", 1, "goal %s", (FORGED,), sys.exc_info())

    first, *rest = PlainFormatter().format(record).splitlines()
    assert first.startswith("goal x\\nphase")
    assert all(line.startswith("  ") for line in rest)


@given(st.text())
def test_json_stays_the_same_json(text: str) -> None:
    encoded = json.dumps({"a": text}, ensure_ascii=False)

    assert json.loads(json_safe(encoded)) == {"a": text}


@given(st.text())
def test_what_is_printed_fits_any_stream(text: str) -> None:
    io.TextIOWrapper(io.BytesIO(), encoding="utf-8").write(printable(text))
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hun@ter2@db/sessions", "postgresql://me:***@db/sessions"),
        ("https://ghp_token@github.example/x", "https://***@github.example/x"),
        (
            "s3://b?endpoint_url=http%3A%2F%2Fu%3Apw%40minio&x=1",
            "s3://b?endpoint_url=http%3A%2F%2F***%40minio&x=1",
        ),
        ("https://h/x?a=1&X-Amz-Signature=abc&b=2", "https://h/x?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/x?access_token=abc", "https://h/x?access_token=***"),
        ("http://localhost:8080?x=a@b", "http://localhost:8080?x=a@b"),
        ("see http://h:80/users/@me", "see http://h:80/users/@me"),
        ("kafka:9092, mail a@b.c", "kafka:9092, mail a@b.c"),
    ],
)
def test_what_urls_say_of_secrets_is_hidden(text: str, shown: str) -> None:
    assert Redaction()(text) == shown
