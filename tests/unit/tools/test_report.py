"""report.markdown: what figures look like, and how a report is written."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from orchestrator_services.tools import markdown
from orchestrator_services.tools.report import Section

from orchestrator.sdk import InvalidInput, PermanentError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def body(**figures: Any) -> str:
    """The report's text behind its title."""
    return str(markdown(title="T", **figures).markdown).removeprefix("# T\n\n").removesuffix("\n")


def test_a_report_of_a_title_sections_and_figures() -> None:
    report = markdown(
        title="Latency rose",
        sections=[Section(heading="What happened", body="See **below**.")],
        worst_route={"route": "/checkout", "p95_ms": 1159.64, "since": None, "fixed": False},
        deploys=[{"service": "checkout", "version": "2.14.0"}, {"service": "web", "at": "14:33"}],
        hints=["one", 2],
    )

    assert report.title == "Latency rose"
    assert report.path is None
    assert report.markdown == (
        "# Latency rose\n\n"
        "## What happened\n\nSee **below**.\n\n"
        "## Worst route\n\n- **Route:** /checkout\n- **P95 ms:** 1159.64\n- **Since:** n/a\n- **Fixed:** no\n\n"
        "## Deploys\n\n"
        "| service | version | at |\n| --- | --- | --- |\n| checkout | 2.14.0 | n/a |\n| web | n/a | 14:33 |\n\n"
        "## Hints\n\n- one\n- 2\n"
    )


def test_the_result_of_a_query_is_a_table_in_the_order_of_its_columns() -> None:
    result = {"columns": ["b", "a"], "rows": [{"a": 1.0, "b": "x"}], "row_count": 1, "truncated": True}

    assert body(rows=result) == "## Rows\n\n| b | a |\n| --- | ---: |\n| x | 1 |\n\n*Not all rows are shown.*"


def test_tables_inside_of_objects_get_headings_of_their_own() -> None:
    assert body(change={"ratio": 2.5, "routes": [{"route": "/"}], "detail": {"x": [1, 2]}}) == (
        "## Change\n\n- **Ratio:** 2.5\n\n### Routes\n\n| route |\n| --- |\n| / |\n\n### Detail\n\n- **X:** 1, 2"
    )


def test_a_cell_cannot_leave_its_cell() -> None:
    text = body(rows=[{"a|b": "x | y\nz", "link": "[a](b) <b> `c`"}])

    assert "| a\\|b | link |" in text
    assert "| x \\| y<br>z | \\[a\\](b) \\<b\\> \\`c\\` |" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234.5678, "1234.57"), (100.0, "100"), (0.001726, "0.001726"), (0.0, "0"), (-2.5, "-2.5"), (1e-12, "1e-12"),
     (10**20, "100000000000000000000"), (True, "yes"), (None, "n/a"), ([], "n/a"), ({}, "n/a"), ("", "n/a")],
)  # fmt: skip
def test_values(value: Any, expected: str) -> None:
    assert body(figure=value) == f"## Figure\n\n{expected}"


@settings(max_examples=200, derandomize=True, deadline=None)
@given(figures=st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=3))
def test_any_figures_make_a_report_with_a_heading_each(figures: dict[str, Any]) -> None:
    figures = {
        f"f {name}": value if not isinstance(value, str) else "text" for name, value in figures.items()
    }

    text = markdown(title="T", **figures).markdown

    assert text == markdown(title="T", **json.loads(json.dumps(figures))).markdown
    headings = [
        token for token in MarkdownIt().parse(text) if token.type == "heading_open" and token.tag == "h2"
    ]
    assert len(headings) == len(figures)


def test_the_arguments_of_a_plan_are_figures() -> None:
    context: Any = None
    arguments = markdown.arguments(
        {"title": "T", "sections": [{"heading": "H", "body": [1]}], "worst": {"a": 1}}, context
    )

    assert markdown(**arguments).markdown == "# T\n\n## H\n\n- 1\n\n## Worst\n\n- **A:** 1\n"


class TestWriting:
    def test_whole_and_twice_the_same(self, output: Path) -> None:
        first = markdown(title="T", path="2026/report.md", figure=1)
        second = markdown(title="T", path="2026/report.md", figure=1)

        assert first == second
        assert first.path == "2026/report.md"
        assert (output / "2026" / "report.md").read_text() == first.markdown
        assert [entry.name for entry in (output / "2026").iterdir()] == ["report.md"]

    def test_a_report_is_replaced_and_readers_of_the_old_one_keep_it(self, output: Path) -> None:
        markdown(title="Old", path="report.md")
        with (output / "report.md").open() as reader:
            markdown(title="New", path="report.md")

            assert reader.read() == "# Old\n"
        assert (output / "report.md").read_text() == "# New\n"

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("../outside.md", "outside the allowed folder"),
            ("/etc/report.md", "outside the allowed folder"),
            ("out/report.md", "outside the allowed folder"),
            ("link.md", "outside the allowed folder"),
            ("report.txt", r"it must end in \.md"),
            ("folder.md", "is a folder"),
            ("file.md/report.md", "a folder of .* is a file"),
        ],
    )
    def test_places_that_are_refused(self, output: Path, path: str, reason: str) -> None:
        elsewhere = output.parent / "elsewhere"
        elsewhere.mkdir()
        (output / "out").symlink_to(elsewhere)
        (output / "link.md").symlink_to(elsewhere / "report.md")
        (output / "folder.md").mkdir()
        (output / "file.md").write_text("x")

        with pytest.raises(InvalidInput, match=reason):
            markdown(title="T", path=path)

        assert list(elsewhere.iterdir()) == []

    def test_a_failed_write_leaves_nothing_behind(
        self, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (output / "report.md").write_text("old")

        def no_space(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)

        with pytest.raises(Exception, match="could not be written: No space left on device"):
            markdown(title="T", path="report.md")

        assert [entry.name for entry in output.iterdir()] == ["report.md"]
        assert (output / "report.md").read_text() == "old"

    def test_without_a_folder_nothing_is_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ORCHESTRATOR_TOOLS_OUTPUT_ROOT", raising=False)

        with pytest.raises(PermanentError, match="set ORCHESTRATOR_TOOLS_OUTPUT_ROOT"):
            markdown(title="T", path="report.md")
