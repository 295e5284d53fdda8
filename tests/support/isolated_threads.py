"""A module that starts a thread when it is imported, as some libraries do."""

import threading
import time

from orchestrator.sdk import tool

threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


@tool("isolated.threaded", isolation="process")
def threaded(x: int) -> int:
    return x + 1
