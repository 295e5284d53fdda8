"""Each attack on the page about security names the test that tries it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TABLE = re.compile(r"<!-- attacks -->\n(.*?)<!-- end -->", re.DOTALL)
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows() -> list[str]:
    found = TABLE.search((ROOT / "docs/security.md").read_text())
    assert found is not None
    return found[1].splitlines()[2:]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip()[:40])
def test_an_attack_has_a_test(row: str) -> None:
    named = NAMED.findall(row.split("|")[3])

    assert named
    for path, name in named:
        assert f"def {name or 'test_'}" in (ROOT / path).read_text()
