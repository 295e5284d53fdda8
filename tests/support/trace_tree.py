"""The tree that the spans of one trace make, wherever they were collected."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Span:
    """One span. Times are Unix microseconds; `parent` is the id of a span, empty for the root.

    `numbers` and `texts` have its attributes that are whole numbers and texts, where they were collected.
    """

    span_id: str
    parent: str
    name: str
    service: str
    started: int
    ended: int
    failed: bool
    numbers: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def roots(spans: Collection[Span]) -> list[str]:
    """Names of the spans without a parent."""
    return [span.name for span in spans if not span.parent]


def orphans(spans: Collection[Span]) -> list[str]:
    """Names of the spans whose parent is not in the trace."""
    known = {span.span_id for span in spans}
    return [span.name for span in spans if span.parent and span.parent not in known]


def assert_retry(spans: Collection[Span], attempt: str, run: str) -> None:
    """A step's first attempt failed and its second one did not, and each has runs of the tool below it."""
    attempts = sorted((span for span in spans if span.name == attempt), key=lambda span: span.started)
    assert [span.failed for span in attempts] == [True, False]
    parents = {span.parent for span in spans if span.name == run}
    assert parents == {span.span_id for span in attempts}
