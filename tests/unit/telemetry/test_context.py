"""Trace context: ids derive from the session's, and a UUID's fixed bits do not skew sampling."""

import secrets
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from orchestrator.messages.identity import derived_id, trace_id
from orchestrator.telemetry.context import Sampling, parent_of, root_span_id, span_id, traceparent

SESSION = "0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e"


def version_7() -> str:
    head, tail = 0x0190B2C47F3A7000 | secrets.randbits(12), 0x8000000000000000 | secrets.randbits(62)
    return str(UUID(int=head << 64 | tail))


def test_the_trace_id_is_the_correlation_id_and_the_parent_its_root() -> None:
    header = traceparent(SESSION)
    assert header == "00-0190b2c47f3a7c1e9d2b3f4a5b6c7d8e-9d2b3f4a5b6c7d8e-01"
    assert parent_of(header) == root_span_id(SESSION)
    assert trace_id(SESSION) == int(header.split("-")[1], 16)


def test_the_header_names_another_parent_and_an_unsampled_session() -> None:
    header = traceparent(SESSION, span_id("call"), Sampling(0.0))
    assert parent_of(header.encode()) == span_id("call")
    assert header.endswith("-00")


@pytest.mark.parametrize(
    "header", [None, b"", b"00-zz", b"\xff\xfe", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"]
)
def test_an_invalid_trace_context_has_no_parent(header: bytes | None) -> None:
    assert parent_of(header) is None


def test_span_ids_are_deterministic() -> None:
    assert span_id("a", "b") == span_id("a", "b") != span_id("ab")
    assert len(span_id("a")) == 16


@pytest.mark.parametrize(
    "mint", [version_7, lambda: str(uuid4()), lambda: derived_id("session", "t", secrets.token_hex())]
)
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_a_ratio_samples_that_share_of_all_sessions(mint: Callable[[], str], ratio: float) -> None:
    sampling = Sampling(ratio)
    sampled = sum(sampling.sampled(mint()) for _ in range(4_000)) / 4_000
    # Six standard deviations of a fair sample.
    assert abs(sampled - ratio) < 0.05


@pytest.mark.parametrize(("ratio", "sampled"), [(0.1, 0), (0.5, 0), (0.75, 100), (0.9, 100)])
def test_the_plain_ratio_sampler_would_sample_all_or_nothing(ratio: float, sampled: int) -> None:
    # The reason for our own sampling: once OpenTelemetry's uses random bits only, ours can go.
    plain = TraceIdRatioBased(ratio)
    decisions = [plain.should_sample(None, trace_id(version_7()), "x").decision for _ in range(100)]
    assert decisions.count(Decision.RECORD_AND_SAMPLE) == sampled
