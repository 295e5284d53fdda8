"""The environment of tests that run commands in their own process."""

import os

import pytest


def clear_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away the platform's variables, and those that name servers for tests, which are no settings."""
    for name in os.environ:
        if name.startswith("ORCHESTRATOR_"):
            monkeypatch.delenv(name)
