"""Every kind of call has its row, and people read a name of its own for each."""

import pytest

from orchestrator.messages.call_kinds import CALL_KINDS, call_name, purpose_of
from orchestrator.messages.types import Call, CallKind

NAMES = {
    CallKind.UNKNOWN: "call x",
    CallKind.PLAN: "plan 2",
    CallKind.REVIEW: "review by x",
    CallKind.SELECTION: "step x",
    CallKind.TOOL: "step x",
    CallKind.EVALUATION: "evaluation x",
    # Recovery decides about a call of another kind.
    CallKind.RECOVERY: "call x",
}


def call(kind: CallKind, failed_kind: CallKind = CallKind.UNKNOWN) -> Call:
    return Call(call_id="id", kind=kind, failed_kind=failed_kind, revision=2, step_id="x", due_at=0)


def test_every_kind_has_its_row() -> None:
    assert set(CALL_KINDS) == set(CallKind)


@pytest.mark.parametrize("kind", CallKind)
def test_every_kind_has_a_name_for_people(kind: CallKind) -> None:
    assert call_name(call(kind)) == NAMES[kind]


@pytest.mark.parametrize("kind", [kind for kind in CallKind if kind is not CallKind.RECOVERY])
def test_a_call_in_recovery_keeps_its_purpose_and_name(kind: CallKind) -> None:
    lost = call(CallKind.RECOVERY, failed_kind=kind)
    assert purpose_of(lost) is kind
    assert call_name(lost) == NAMES[kind]
