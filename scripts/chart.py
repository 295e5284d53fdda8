"""Generated parts of the chart: its topics from the catalogue, the table in its README from its values."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator.bus.kafka.topics import wanted_config
from orchestrator.messages.catalogue import TOPICS

CHART: Final = Path(__file__).resolve().parent.parent / "helm" / "agent-orchestrator"
_HEAD: Final = "# Generated from the catalogue by `make docs`.\n"


def topics() -> str:
    """The catalogue's topics, from which the chart creates KafkaTopic objects."""
    entries: list[dict[str, Any]] = [
        {
            "topic": str(spec.topic),
            **({"partitions": spec.partitions} if spec.partitions else {}),
            "config": wanted_config(spec),
        }
        for spec in TOPICS
    ]
    return _HEAD + yaml.safe_dump(entries, sort_keys=False)


def values_table() -> str:
    """Every value of the chart, with its default and the comment above it."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    rows = _rows(yaml.compose(text, Loader=yaml.SafeLoader), text.splitlines(), "")
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def _rows(mapping: Any, lines: list[str], path: str) -> Iterator[str]:
    for key, value in mapping.value:
        name = f"{path}{key.value}"
        meaning = _comment(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            if meaning:
                yield f"| **`{name}`** | | {meaning} |"
            yield from _rows(value, lines, f"{name}.")
        else:
            yield f"| `{name}` | `{_compact(value)}` | {meaning} |"


def _comment(lines: list[str], line: int) -> str:
    """The comment directly above a line, as the text of a table cell."""
    comment: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        comment.insert(0, lines[line].lstrip().removeprefix("#").strip())
    return " ".join(comment).replace("|", "\\|")


def _compact(node: Any) -> str:
    return json.dumps(yaml.safe_load(yaml.serialize(node)), ensure_ascii=False)
