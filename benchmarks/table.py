"""Prints results, for people and for programs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def report(result: Mapping[str, Any]) -> None:
    """Prints a table, and then all figures as one JSON object on the last line."""
    print_table(result)
    print(json.dumps(result), flush=True)


def print_table(result: Mapping[str, Any]) -> None:
    """One row for each figure; figures of a group are prefixed with its name."""
    table = Table(title=str(result["benchmark"]), show_header=False)
    for name, figure in _flat(result):
        if name != "benchmark":
            table.add_row(name.replace("_", " "), str(figure))
    Console(width=100).print(table)


def _flat(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, figure in result.items():
        if isinstance(figure, Mapping):
            yield from ((f"{name} {inner}", value) for inner, value in _flat(figure))
        else:
            yield name, figure
