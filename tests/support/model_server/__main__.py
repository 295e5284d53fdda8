"""The server as a process: `python -m tests.support.model_server --scripts MODULE [--port PORT] [--log FILE]`.

Prints `ready URL` once it listens. MODULE has a table SCRIPTS, of scripts by model. Without `--log` the log of
requests ends with the process.
"""

import argparse
import importlib
from pathlib import Path

from tests.support.model_server.ledger import Ledger
from tests.support.model_server.replies import Script
from tests.support.model_server.server import Server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scripts", nargs="+", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    scripts: dict[str, Script] = {}
    for name in given.scripts:
        scripts |= importlib.import_module(name).SCRIPTS
    with Server(given.port, scripts, Ledger(given.log)) as server:
        print(f"ready http://127.0.0.1:{server.server_port}/v1", flush=True)  # noqa: T201 - the test waits for it
        server.serve_forever()


if __name__ == "__main__":
    main()
