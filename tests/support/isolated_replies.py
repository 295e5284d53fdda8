"""Tools in processes of their own that reply much."""

import os
import time
from pathlib import Path
from typing import Any, Final

from orchestrator.sdk import Isolation, tool
from orchestrator.sdk.result_bounds import Bounds

LARGE: Final = Isolation(output="16MB")
TOO_MANY: Final = Bounds().values + 1


@tool("isolated.many", isolation=LARGE)
def many(values: int) -> Any:
    """As many empty objects."""
    return [{}] * values


@tool("isolated.long", isolation=Isolation(output="128MB"))
def long(characters: int) -> str:
    """A text with as many commas, which are no separators."""
    return "," * characters


@tool("isolated.forges_many", isolation=LARGE)
def forges_many(values: int) -> None:
    """Writes the reply itself, past what bounds a result in this process."""
    reply = b'{"value":[' + b"{}," * (values - 1) + b'{}],"used":{}}'
    frame = b"R" + len(reply).to_bytes(4) + reply
    for path in list(Path("/proc/self/fd").iterdir()):
        if (descriptor := int(path.name)) > 2:
            try:
                left = frame
                while left:
                    left = left[os.write(descriptor, left) :]
            except OSError:
                continue
    time.sleep(600)
