"""`python -m benchmarks [NAME…] [--short]`: runs benchmarks, all of them unless told which."""

import argparse
import json

from benchmarks.cluster import cluster
from benchmarks.suite import BENCHMARKS
from benchmarks.table import print_table


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
