"""Runs one target: `python -m tests.fuzz TARGET`, in a process that a fault may end."""

import argparse
import faulthandler
import json
import logging
import mmap
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Final

from tests.fuzz import corpus
from tests.fuzz.engine import Search, smallest
from tests.fuzz.targets import TARGETS, target_named

_MEMORY: Final = 4 << 30
_CPU_S: Final = 60
"""For one input: it is there for code that never returns. What an input may cost is bounded in steps."""
_LARGEST: Final = 1 << 20


def main(given: list[str]) -> int:
    arguments = _parser().parse_args(given)
    _limit(resource.RLIMIT_AS, _MEMORY)
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    target = target_named(arguments.target)
    if arguments.replay:
        target.check(target.load(arguments.replay.read_bytes()))
        return 0
    started = process_time()
    search = Search(target, _recorder(arguments.current))
    floor = search.replay()
    findings = search.run(arguments.inputs, arguments.seed)
    if arguments.keep:
        known = [target.load(path.read_bytes()) for path in corpus.files(target.name)]
        for case in smallest(target, [*known, *findings.kept.values()]):
            corpus.add(target.name, target.dump(case), target.suffix)
    everything = search.tracer.all_lines()
    faults = {
        str(corpus.add(target.name, fault.content, target.suffix, corpus.FAILURES)): f"{place}\n{fault.text}"
        for place, fault in findings.faults.items()
    }
    report = {
        "target": target.name,
        "inputs": findings.inputs,
        "corpus": len(corpus.files(target.name)),
        "found": len(findings.kept),
        "lines": len(everything),
        "lines_of_corpus": len(floor & everything),
        "lines_reached": len(search.tracer.lines & everything),
        "most_steps": findings.most_steps,
        "cpu_s": round(process_time() - started, 1),
        "faults": faults,
    }
    if arguments.missing:
        for file, line in sorted(everything - search.tracer.lines):
            print(f"not reached: {file}:{line}", file=sys.stderr)  # noqa: T201
    print(json.dumps(report, indent=2))  # noqa: T201
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", default="0", help="the same seed finds the same; default: 0")
    parser.add_argument("--keep", action="store_true", help="add what reached new lines to the corpus")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input alone")
    parser.add_argument("--missing", action="store_true", help="list the lines that were not reached")
    parser.add_argument("--current", type=Path, metavar="FILE", help="where the input that is run is written")
    return parser


def _recorder(path: Path | None) -> Callable[[bytes], None]:
    """Notes the input that is about to run, and allows it its time of the processor."""
    if path is None:
        return lambda _content: _limit(resource.RLIMIT_CPU, int(process_time()) + _CPU_S)
    path.write_bytes(bytes(_LARGEST))
    with path.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), _LARGEST)

    def record(content: bytes) -> None:
        _limit(resource.RLIMIT_CPU, int(process_time()) + _CPU_S)
        size = min(len(content), _LARGEST - 8)
        shared[:8] = size.to_bytes(8, "big")
        shared[8 : 8 + size] = content[:size]

    return record


def _limit(kind: int, soft: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
