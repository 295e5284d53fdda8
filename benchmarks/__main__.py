"""`python -m benchmarks [NAME…] [--short]`: runs the named benchmarks, or all of them."""

import argparse
from collections.abc import Sequence

from benchmarks.cluster import cluster
from benchmarks.suite import BENCHMARKS
from benchmarks.table import report


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument("--short", action="store_true", help="run the short form, a few seconds each")
    given = parser.parse_args(arguments)
    names = given.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    form = "short" if given.short else "long"
    for nodes in (1, 3):
        chosen = [BENCHMARKS[name][1] for name in names if BENCHMARKS[name][0] == nodes]
        if chosen:
            with cluster(nodes) as running:
                for run in chosen:
                    report(run(running, form))


if __name__ == "__main__":
    main()
