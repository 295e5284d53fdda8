"""Tables: whatever texts one row holds, the columns of the others are there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.output import write_table
from orchestrator.cli.tables import WIDEST_COLUMN, cells, laid_out

HEADINGS = ("session", "agent", "goal", "cost")
ID = "0190b5a4-1111-7abc-8def-0123456789ab"
TEXTS = st.one_of(
    st.text(st.sampled_from("aZ -茶🫖é\u0301"), max_size=200),
    st.sampled_from(["N" * 255, "N" * 40_000, "茶" * 30_000, "\u0301" * 30_000, "two words " * 6_000]),
)


@given(
    st.lists(st.tuples(st.just(ID), TEXTS, TEXTS, st.just("$0.01")), max_size=5),
    st.sampled_from([None, 1, 40, 80, 120, 200]),
    st.sampled_from([((), ()), ((), ("goal",)), (("goal",), ()), (("agent",), ("goal",))]),
)
def test_headings_ids_and_short_columns_are_always_whole(
    rows: list[tuple[str, ...]], width: int | None, columns: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    folded, cut = columns

    heading, *lines = laid_out(HEADINGS, rows, width=width, folded=folded, cut=cut)

    assert heading.split() == list(HEADINGS)
    firsts = [line for line in lines if line.startswith(ID)]
    assert len(firsts) == len(rows)
    assert all(line.endswith("$0.01") for line in firsts)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_without_a_terminal_every_text_is_whole(rows: list[tuple[str, ...]]) -> None:
    _, *lines = laid_out(("agent", "goal"), rows, width=None, cut=("goal",))

    for line, row in zip(lines, rows, strict=True):
        assert all(cell.rstrip() in line for cell in row)


def test_a_long_text_moves_no_other_row() -> None:
    short = (ID, "cook", "tea", "$0.01")
    alone = list(laid_out(HEADINGS, [short], width=120, cut=("goal",)))

    beside = list(laid_out(HEADINGS, [short, (ID, "N" * 255, "g" * 65_000, "$0")], width=120, cut=("goal",)))

    assert beside[:2] == alone
    assert "N" * 255 in beside[2]
    assert cells(beside[2]) < 255 + 120


def test_a_table_fits_its_terminal_where_names_are_short() -> None:
    rows = [(ID, "茶" * (WIDEST_COLUMN // 4), "because " * 60, "$0.01")] * 3

    for columns in ({"cut": ("goal",)}, {"folded": ("goal",)}):
        assert max(map(cells, laid_out(HEADINGS, rows, width=120, **columns))) <= 120


def test_wide_letters_are_padded_by_their_width() -> None:
    heading, *lines = laid_out(("name", "n"), [("茶茶茶", "1"), ("tea", "2")], width=None)

    assert (heading, *lines) == ("name    n", "茶茶茶  1", "tea     2")


def test_words_are_not_broken_where_they_fit() -> None:
    _, *lines = laid_out(("why",), [("one two three four five " + "x" * 45,)], width=20, folded=("why",))

    assert lines == ["one two three four", "five", "x" * 20, "x" * 20, "x" * 5]


def test_one_long_row_hides_nothing_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    write_table(
        HEADINGS, [(ID, "cook", "tea", "$0.01"), (ID, "N" * 255, "g" * 65_000, "$0.02")], cut=("goal",)
    )

    out = capsys.readouterr().out
    assert all(heading in out for heading in HEADINGS)
    assert out.count(ID) == 2
    assert "$0.01" in out
    assert "$0.02" in out
