"""JSON values as Markdown (GitHub's dialect)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_services.tools.markdown_text import harmless, without_hidden

MAX_HEADING = 6
NOTHING = "n/a"
# Markup inside a line of text; the pipe also ends a table cell.
BLANKS = re.compile(r"\s+")
MARKUP = re.compile(r"([\\`*_\[\]<>|])")


def heading(level: int, text: str) -> str:
    return f"{'#' * min(level, MAX_HEADING)} {inline(text)}"


def titled(name: str) -> str:
    """A heading for a figure's name: `worst_route` becomes `Worst route`."""
    words = name.replace("_", " ").replace("-", " ").strip() or name
    return words[:1].upper() + words[1:]


def block(value: Any, level: int) -> str:
    """A figure below a heading of `level - 1`; its own parts get headings of `level`.

    Text is Markdown already, and made harmless. A list of objects becomes a table, any other list bullets. An object
    becomes bullets; its fields that are tables or objects follow under headings of their own. The result of a query,
    `columns` and `rows`, becomes a table in the order of its columns.
    """
    if isinstance(value, str):
        return harmless(value.strip()) or NOTHING
    if isinstance(value, Mapping):
        return _query_result(value) or _fields(value, level)
    if isinstance(value, Sequence):
        return _items(value)
    return inline(value)


def inline(value: Any) -> str:
    """A value within a line or a table cell: markup escaped, line breaks as <br>, numbers rounded for
    reading."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        escaped = MARKUP.sub(r"\\\1", without_hidden(value.strip().replace("\r", "\n")))
        return BLANKS.sub(lambda found: "<br>" if "\n" in found[0] else found[0], escaped)
    if isinstance(value, Mapping):
        return ", ".join(f"{inline(str(key))}: {inline(item)}" for key, item in value.items()) or NOTHING
    if isinstance(value, Sequence):
        return ", ".join(inline(item) for item in value) or NOTHING
    return str(value)


def number(value: float) -> str:
    """Two decimals from 1 on, four significant digits below, without trailing zeros."""
    text = f"{value:.2f}" if abs(value) >= 1 else f"{value:.4g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under columns; numbers are aligned right."""
    lines = [
        _row([inline(column) for column in columns]),
        _row(["---:" if _is_numeric(rows, column) else "---" for column in columns]),
    ]
    lines += [_row([inline(row.get(column)) for column in columns]) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _is_numeric(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    values = [row[column] for row in rows if row.get(column) is not None]
    return bool(values) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )


def _query_result(value: Mapping[str, Any]) -> str | None:
    rows, columns = value.get("rows"), value.get("columns")
    if not isinstance(rows, list) or not _is_table(rows) or not isinstance(columns, list):
        return None
    text = table(rows, [str(column) for column in columns])
    return f"{text}\n\n*Not all rows are shown.*" if value.get("truncated") else text


def _fields(value: Mapping[str, Any], level: int) -> str:
    if not value:
        return NOTHING
    short = {key: item for key, item in value.items() if not _needs_block(item)}
    bullets = "\n".join(f"- **{inline(titled(str(key)))}:** {inline(item)}" for key, item in short.items())
    parts = [bullets] if bullets else []
    for key, item in value.items():
        if key not in short:
            parts += [heading(level, titled(str(key))), block(item, level + 1)]
    return "\n\n".join(parts)


def _items(value: Sequence[Any]) -> str:
    if not value:
        return NOTHING
    if _is_table(value):
        return table(value, list(dict.fromkeys(str(key) for row in value for key in row)))
    return "\n".join(f"- {inline(item)}" for item in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) and row for row in value)


def _needs_block(value: Any) -> bool:
    return _is_table(value) or (isinstance(value, Mapping) and bool(value))
