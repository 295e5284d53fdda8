"""Runs a target in a process of its own, and says what its report means."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.fuzz import corpus

ROOT: Final = Path(__file__).parents[2]


def run(target: str, inputs: int, seed: str, folder: Path) -> dict[str, Any]:
    """The report of a run. Raises `AssertionError` for each input that broke a promise, with how to replay it."""
    current = folder / f"{target}.current"
    command = [sys.executable, "-m", "tests.fuzz", target, f"--inputs={inputs}", f"--seed={seed}"]
    done = subprocess.run(
        [*command, f"--current={current}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise AssertionError(_crashed(target, current, done))
    report: dict[str, Any] = json.loads(done.stdout)
    assert not report["faults"], "\n\n".join(
        f"{text}\n{_what_to_do(target, file)}" for file, text in report["faults"].items()
    )
    return report


def line(report: dict[str, Any]) -> str:
    """A report in a line."""
    return (
        f"{report['target']}: {report['inputs']} inputs, {report['corpus']} in the corpus, "
        f"{report['lines_reached']} of {report['lines']} lines reached ({report['lines_of_corpus']} by the corpus), "
        f"at most {report['most_steps']} steps, {report['cpu_s']} s"
    )


def _crashed(target: str, current: Path, done: subprocess.CompletedProcess[str]) -> str:
    whole = current.read_bytes() if current.exists() else b""
    content = whole[8 : 8 + int.from_bytes(whole[:8], "big")]
    file = corpus.add(target, content, "crash", corpus.FAILURES)
    return (
        f"the process that fuzzed {target} ended with {done.returncode}\n{done.stderr[-3_000:]}\n"
        f"{_what_to_do(target, str(file))}"
    )


def _what_to_do(target: str, file: str) -> str:
    name = Path(file).name
    return (
        f"replay it:            python -m tests.fuzz {target} --replay {file}\n"
        f"once it is mended:    mv {file} tests/fuzz/corpus/{target}/{name}"
    )
