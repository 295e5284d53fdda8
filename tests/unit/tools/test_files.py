"""files.read, files.list, files.search on real files."""

import time
import tracemalloc
from pathlib import Path

import pytest
from orchestrator_services.tools import list_files, read, search

from orchestrator.sdk import InvalidInput, PermanentError


@pytest.fixture
def tree(root: Path) -> Path:
    (root / "logs" / "old").mkdir(parents=True)
    (root / "logs" / "app.log").write_text("start\nERROR one\nok\nerror two\n")
    (root / "logs" / "old" / "app.log").write_text("ERROR old\r\nfine\r\n")
    (root / "notes.txt").write_text("no error here\n")
    (root / "image.bin").write_bytes(b"\xff\xfe\x00ERROR")
    return root


@pytest.mark.usefixtures("tree")
class TestRead:
    def test_a_whole_file(self) -> None:
        result = read("logs/app.log")

        assert result.text == "start\nERROR one\nok\nerror two\n"
        assert (result.first_line, result.lines, result.next_line, result.size) == (1, 4, None, 29)

    def test_pages_put_together_are_the_file(self) -> None:
        first = read("logs/app.log", max_lines=3)
        assert first.next_line is not None
        second = read("logs/app.log", first_line=first.next_line, max_lines=3)

        assert (first.text, second.text) == ("start\nERROR one\nok\n", "error two\n")
        assert second.next_line is None

    def test_lines_behind_the_end_are_none(self) -> None:
        assert read("logs/app.log", first_line=10).lines == 0

    @pytest.mark.parametrize("first", [1, 2, 3, 9_999, 10_000, 10_001, 29_999, 30_000])
    def test_any_line_may_be_the_first(self, tree: Path, first: int) -> None:
        lines = [f"{'x' * (number % 7)}{number}\n" for number in range(1, 30_001)]
        (tree / "many.txt").write_text("".join(lines))

        result = read("many.txt", first_line=first, max_lines=2)

        assert result.text == "".join(lines[first - 1 : first + 1])
        assert result.next_line == (first + 2 if first + 2 <= 30_000 else None)

    def test_lines_that_are_skipped_cost_little(self, tree: Path) -> None:
        (tree / "empty.txt").write_bytes(b"\n" * 20_000_000)
        begun = time.thread_time()

        assert read("empty.txt", first_line=10**12).lines == 0

        # One by one they take eight seconds.
        assert time.thread_time() - begun < 2

    def test_a_page_ends_before_the_size_limit(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "1024")
        (tree / "wide.txt").write_text(("x" * 499 + "\n") * 5)

        result = read("wide.txt")

        assert (result.lines, result.next_line) == (2, 3)

    def test_a_long_line_is_not_held_in_memory(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "1024")
        (tree / "wide.txt").write_bytes(b"first\n" + b"x" * 20_000_000 + b"\nlast")
        tracemalloc.start()
        try:
            assert read("wide.txt").next_line == 2
            assert read("wide.txt", first_line=3).text == "last"
            with pytest.raises(PermanentError, match="line 2"):
                read("wide.txt", first_line=2)
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()

    def test_a_line_beyond_the_size_limit_is_refused(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "1024")
        (tree / "wide.txt").write_text("x" * 5000)

        with pytest.raises(PermanentError, match=r"line 1 of 'wide.txt' alone is larger than 1024 bytes"):
            read("wide.txt")

    def test_what_is_not_text_is_refused(self) -> None:
        with pytest.raises(PermanentError, match=r"not UTF-8 text"):
            read("image.bin")


@pytest.mark.usefixtures("tree")
class TestList:
    def test_everything_below_in_order(self) -> None:
        result = list_files()

        assert [entry.path for entry in result.files] == [
            "image.bin",
            "notes.txt",
            "logs/app.log",
            "logs/old/app.log",
        ]
        assert result.files[2].size == 29
        assert result.files[2].modified.endswith("Z")
        assert not result.truncated

    def test_a_pattern_and_a_limit(self) -> None:
        result = list_files("logs", pattern="*.log", max_results=1)

        assert [entry.path for entry in result.files] == ["logs/app.log"]
        assert result.truncated

    def test_a_missing_folder(self) -> None:
        with pytest.raises(InvalidInput, match=r"does not exist"):
            list_files("nowhere")


@pytest.mark.usefixtures("tree")
class TestSearch:
    def test_a_text_in_a_folder(self) -> None:
        result = search("logs", "ERROR")

        assert [(match.path, match.line, match.text) for match in result.matches] == [
            ("logs/app.log", 2, "ERROR one"),
            ("logs/old/app.log", 1, "ERROR old"),
        ]
        assert (result.files_searched, result.truncated) == (2, False)

    def test_case_can_be_ignored(self) -> None:
        result = search("logs/app.log", "error", ignore_case=True)

        assert [match.line for match in result.matches] == [2, 4]

    @pytest.mark.parametrize(("ignore_case", "lines"), [(False, [2]), (True, [2, 4])])
    def test_an_expression(self, ignore_case: bool, lines: list[int]) -> None:
        result = search("logs/app.log", r"^ERROR \w+$", regex=True, ignore_case=ignore_case)

        assert [match.line for match in result.matches] == lines

    def test_no_pattern_finds_every_line(self) -> None:
        assert [match.text for match in search("logs/app.log").matches] == [
            "start",
            "ERROR one",
            "ok",
            "error two",
        ]

    def test_a_glob_chooses_files_and_binary_ones_are_named_as_skipped(self) -> None:
        assert search(pattern="error", glob="*.txt").files_searched == 1
        assert search(pattern="error").skipped == ["image.bin"]

    def test_a_binary_file_asked_for_by_name_is_refused(self) -> None:
        with pytest.raises(PermanentError, match=r"not UTF-8 text"):
            search("image.bin", "ERROR")

    def test_no_more_than_asked_for(self) -> None:
        result = search("logs/app.log", max_results=2)

        assert (len(result.matches), result.truncated) == (2, True)
        assert not search("logs/app.log", max_results=4).truncated

    def test_the_whole_search_reads_no_more_than_the_limit(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_FILE_BYTES", "40")
        (tree / "logs" / "big.log").write_text("ERROR big\n" * 10)

        result = search("logs", "ERROR")

        assert [match.path for match in result.matches] == ["logs/app.log"]
        assert result.skipped == ["logs/big.log"]
        assert result.truncated

    def test_a_result_stays_within_its_limit(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "1024")
        (tree / "wide.txt").write_text(("x" * 5000 + "\n") * 100)

        result = search("wide.txt")

        assert [len(match.text) for match in result.matches] == [500, 500]
        assert result.truncated

    def test_a_wrong_expression_is_explained(self) -> None:
        with pytest.raises(InvalidInput, match=r"searching for '\(' failed.*missing \)"):
            search("logs/app.log", "(", regex=True)

    def test_an_expression_made_to_hang_does_not(self, tree: Path) -> None:
        (tree / "evil.txt").write_text("a" * 100_000 + "b\n")

        assert search("evil.txt", "(a+)+$", regex=True).matches == []
