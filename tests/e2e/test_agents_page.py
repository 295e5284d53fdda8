"""What `docs/agents.md` shows runs unchanged, from files outside the project."""

import subprocess
import sys
from pathlib import Path

from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "agents.md"


def test_the_agent_from_nothing_passes_its_own_test(tmp_path: Path) -> None:
    for block in blocks(PAGE, "python", "yaml"):
        head, _, text = block.partition("\n")
        if head.startswith("# "):
            file = tmp_path / head.removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
