"""Models asked each way: with responses that are streamed, and with those that come as a whole."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from orchestrator_services.models.settings import settings


@pytest.fixture(scope="session", autouse=True)
def _library() -> None:
    """Imports the client's library, which takes seconds, before any test measures time."""
    import_module("orchestrator_services.models.client")
    import_module("orchestrator_services.models.scripts")


@pytest.fixture(scope="module", params=["streamed", "whole"])
def each_way(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_MODELS_STREAM", str(request.param == "streamed"))
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Responses that come as a whole."""
    monkeypatch.setenv("ORCHESTRATOR_MODELS_STREAM", "false")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()
