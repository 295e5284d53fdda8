"""`python -m benchmarks [NAME…] [--short]`: runs benchmarks, all of them unless told which."""

import argparse
import json
from collections.abc import Callable
from typing import Any, Final

from benchmarks import saga_loop, sessions
from benchmarks.cluster import Cluster, cluster
from benchmarks.table import print_table

BENCHMARKS: Final[dict[str, tuple[int, Callable[[Cluster, str], dict[str, Any]]]]] = {
    "saga_loop": (1, saga_loop.run),
    "sessions": (1, sessions.run),
    "sessions3": (3, sessions.run),
}
"""Brokers that each needs, and what runs it."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument("--short", action="store_true", help="the form of a few seconds")
    given = parser.parse_args()
    names = given.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    form = "short" if given.short else "long"
    for nodes in (1, 3):
        chosen = [BENCHMARKS[name][1] for name in names if BENCHMARKS[name][0] == nodes]
        if chosen:
            with cluster(nodes) as running:
                for run in chosen:
                    result = run(running, form)
                    print_table(result)
                    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
