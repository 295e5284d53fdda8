"""Tables as lines of text: no row of anybody hides a column of the others."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

GAP: Final = "  "
WIDEST_COLUMN: Final = 48
"""Terminal cells; ids of 36 fit. Longer texts stand out of their column, and do not move the rows around them."""
LONGEST_SHOWN: Final = 255
"""Terminal cells of a text in a terminal, as long as the longest name: names and ids are whole."""
NARROWEST: Final = 20
"""Terminal cells of a column that wraps or is truncated. A narrower terminal breaks the lines itself."""


def laid_out(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    folded: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> Iterator[str]:
    """The lines of a table, its headings first. All cells are of one line.

    `width` is that of a terminal, whose rest the columns in `folded` and `cut` share. Without one, all is in full.
    """
    flexible = [number for number, heading in enumerate(headings) if heading in (*folded, *cut)]
    widths = [
        max([cells(heading), *(size for size in map(_cells_in_column, column) if size <= WIDEST_COLUMN)])
        for heading, column in zip(headings, _columns(rows, len(headings)), strict=True)
    ]
    if width is not None and flexible:
        fixed = sum(size for number, size in enumerate(widths) if number not in flexible)
        rest = width - fixed - len(GAP) * (len(headings) - 1)
        for number in flexible:
            widths[number] = max(NARROWEST, rest // len(flexible))
        yield _line(headings, widths)
        for row in rows:
            yield from _fitted(row, widths, [heading in folded for heading in headings], flexible)
        return
    yield _line(headings, widths)
    for row in rows:
        yield _line(row if width is None else [shortened(cell, LONGEST_SHOWN) for cell in row], widths)


def cells(text: str) -> int:
    """How wide a terminal shows a text: a Chinese letter takes two cells, an accent of its own none."""
    if text.isascii():
        return len(text)
    from rich.cells import get_character_cell_size

    return sum(map(get_character_cell_size, text))


def shortened(text: str, width: int) -> str:
    """The text, or its beginning and `…` if it takes more cells. Marks that take none are bounded too."""
    beginning = text[: 4 * width]
    if beginning == text and cells(text) <= width:
        return text
    return f"{_chopped(beginning, width - 1)[0].rstrip()}…"


def _chopped(text: str, width: int) -> list[str]:
    """Parts of at most this many cells."""
    if text.isascii():
        return [text[place : place + width] for place in range(0, len(text), width)] or [""]
    parts, start, size = list[str](), 0, 0
    for place, char in enumerate(text):
        size += cells(char)
        if size > width and place > start:
            parts.append(text[start:place])
            start, size = place, cells(char)
    return [*parts, text[start:]]


def _fitted(
    row: Sequence[str], widths: Sequence[int], is_folded: Sequence[bool], flexible: Sequence[int]
) -> Iterator[str]:
    """The lines of a row in a terminal."""
    parts = [
        _wrapped(cell, widths[number])
        if is_folded[number]
        else [shortened(cell, widths[number] if number in flexible else LONGEST_SHOWN)]
        for number, cell in enumerate(row)
    ]
    for place in range(max(map(len, parts), default=0)):
        yield _line([lines[place] if place < len(lines) else "" for lines in parts], widths)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most this many cells, broken between words where that is possible."""
    lines, line, size = list[str](), list[str](), -1
    for word in text.split(" "):
        taken = cells(word)
        if size + 1 + taken > width:
            lines.append(" ".join(line))
            *before, word = _chopped(word, width)
            lines += before
            line, size, taken = [], -1, cells(word)
        line.append(word)
        size += 1 + taken
    return [part for part in (*lines, " ".join(line)) if part] or [""]


def _cells_in_column(text: str) -> int:
    """As `cells`; of a text that is too wide for a column anyway, something above it."""
    return cells(text) if len(text) <= WIDEST_COLUMN * 4 else WIDEST_COLUMN + 1


def _columns(rows: Sequence[Sequence[str]], count: int) -> Iterable[Sequence[str]]:
    return zip(*rows, strict=True) if rows else [()] * count


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{cell}{' ' * (size - cells(cell))}" for cell, size in zip(row, widths, strict=True))
    return GAP.join(padded).rstrip()
