"""Writes the JSON Schema of playbooks next to this file: `python -m orchestrator_services.planner.schema`."""

import json
from pathlib import Path
from typing import Final

from orchestrator.sdk import playbook_schema

SCHEMA_FILE: Final = Path(__file__).with_name("playbook.schema.json")


def schema_text() -> str:
    """The schema as the file has it."""
    return json.dumps(playbook_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
