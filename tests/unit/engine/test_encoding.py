"""What the orchestrator writes fits into a record: large values go into the value store."""

from pathlib import Path

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.values.folder import FolderValues
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.engine.state.encoding import Encoder
from orchestrator.messages import commands
from orchestrator.messages.identity import derived_id
from orchestrator.messages.types import Call, CallKind, Document, Plan, Step, StepOutcome
from orchestrator.messages.values import json_value

LARGE = "x" * 15_000


def test_everything_that_a_planner_is_given_may_be_stored(tmp_path: Path) -> None:
    values = MessageValues(FolderValues(tmp_path))
    encoder = Encoder(Codec(CatalogueIds()), values, "/orchestrator/0", limit=30_000)
    arguments = Document(body=json_value({"text": LARGE}))
    command = commands.CreatePlan(
        command_id=derived_id("test", 1),
        correlation_id=derived_id("test", 2),
        occurred_at=0,
        call=Call(call_id="call", kind=CallKind.PLAN, due_at=0),
        not_after=0,
        planner="mine",
        goal="go on",
        context=json_value({"text": LARGE}),
        previous=Plan(steps=(Step(step_id="a", tool="t", arguments=arguments),), result=arguments),
        outcomes=(StepOutcome(step_id="a", output=json_value(LARGE)),),
    )

    written = encoder.encode(command)

    assert encoder.fits(written)
    assert b"x" * 1_000 not in (written.value or b"")
