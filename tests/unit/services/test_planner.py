"""The planner: playbooks become plans, and whatever hinders that is said clearly."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec.structs import replace
from orchestrator_services import planner
from orchestrator_services.planner.handlers import MOST_RATIONALE
from orchestrator_services.planner.schema import SCHEMA_FILE, schema_text

from orchestrator.messages import commands, events
from orchestrator.messages.types import (
    AgentProfile,
    CallKind,
    Criterion,
    FailureKind,
    Limits,
    Reference,
    RetryPolicy,
    Value,
)
from orchestrator.messages.values import json_value
from orchestrator.sdk import ConfigurationError, Context, PlanRequest, TransientError, step
from orchestrator.sdk import Plan as PlannedPlan
from orchestrator.sdk import planner as declare_planner
from tests.support import incident_example
from tests.unit.services.support import START, MemoryValues, World, call, command, plain

TRIAGE = """
# Kept with the playbook.
playbook: triage
version: 2
description: Why is it slow?
match: task.goal.contains("latency") && task.context.env == "prod"
inputs:
  log: {type: string}
  limit: {type: integer, default: 10}
  env: {type: string, default: prod}
steps:
  routes:
    tool: sql.query
    arguments: {file: "${log}", limit: "${limit}", note: "top ${limit} of ${log}, for $${5}"}
    retry: {attempts: 5, initial: 1s}
    timeout: 20s
    fallback: [csv.query]
  deploys: {capability: search, arguments: {path: "${log}"}, after: [routes]}
  report:
    tool: report.markdown
    arguments: {worst: {$from: routes, at: /rows/0}, "a/b": [{$from: deploys}]}
success:
  - outputs.routes.rows[0].p95 > 500.0
  - size(result) > 0
result: {$from: report, at: /markdown}
"""


def defined(*sources: str) -> dict[str, events.PlaybookDefined]:
    playbooks = {}
    for source in sources:
        content = yaml.safe_load(source)
        name, version = str(content["playbook"]), str(content.get("version", 1))
        playbooks[name] = events.PlaybookDefined(
            event_id=f"{name}-{version}", occurred_at=START, name=name, version=version, source=source
        )
    return playbooks


def request(context: Any = None, **fields: Any) -> commands.CreatePlan:
    given = {
        "call": call(CallKind.PLAN, step_id=""),
        "planner": "playbook",
        "goal": "why did latency rise",
        "context": json_value({"log": "a.log", "env": "prod"} if context is None else context),
        **fields,
    }
    message: commands.CreatePlan = command(commands.CreatePlan, **given)
    return message


async def plan(message: commands.CreatePlan, *sources: str, world: World | None = None) -> Any:
    world = world or World(planner)
    world.definitions.playbooks = defined(*(sources or (TRIAGE,)))
    return await world.reply(planner.service, message)


async def failure_on(message: commands.CreatePlan, *sources: str) -> tuple[FailureKind, str, str]:
    failed = await plan(message, *sources)
    assert isinstance(failed, events.PlanningFailed)
    return failed.failure.kind, failed.failure.code, failed.failure.message


def bringing(agent: AgentProfile, name: str = "buying") -> Any:
    """A planner that brings an agent."""

    @declare_planner(name, profile=agent)
    async def make(asked: PlanRequest) -> PlannedPlan:
        return PlannedPlan([])

    return make


def announced(world: World) -> list[AgentProfile]:
    return [
        message.profile
        for message in planner.service.announcement(world.platform)
        if isinstance(message, events.AgentDefined)
    ]


BUYER = AgentProfile(name="buyer", description="buys", limits=Limits(tool_calls=5))
OF_CODE = replace(BUYER, planner="buying", announced=True)


def test_a_planner_s_agent_is_announced_as_planned_by_it() -> None:
    assert announced(World(planner, bringing(BUYER))) == [OF_CODE]


@pytest.mark.parametrize(("can_keep", "warnings"), [(True, 0), (False, 1)])
def test_a_planner_without_a_value_store_says_what_cannot_run(
    can_keep: bool, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(planner)
    world.values.can_keep = can_keep
    announced(world)
    assert sum("set ORCHESTRATOR_VALUES_URL" in record.getMessage() for record in caplog.records) == warnings


def test_a_planner_without_an_agent_announces_none() -> None:
    assert announced(World(planner)) == []


def test_what_the_code_says_now_replaces_what_it_said_before() -> None:
    world = World(bringing(BUYER))
    world.definitions.agents["buyer"] = replace(OF_CODE, limits=Limits())

    assert announced(world) == [OF_CODE]


def test_an_applied_agent_is_left_as_it_is() -> None:
    world = World(bringing(BUYER))
    world.definitions.agents["buyer"] = replace(OF_CODE, announced=False)

    assert announced(world) == []


def test_two_planners_cannot_bring_one_agent() -> None:
    world = World(bringing(BUYER), bringing(BUYER, "selling"))

    with pytest.raises(
        ConfigurationError, match="planners buying and selling both bring an agent buyer: rename one"
    ):
        announced(world)


async def test_a_playbook_becomes_a_plan() -> None:
    created = await plan(request())

    assert isinstance(created, events.PlanCreated)
    routes, deploys, report = created.plan.steps
    assert plain(routes.arguments.body) == {"file": "a.log", "limit": 10, "note": "top 10 of a.log, for ${5}"}
    assert routes.retry == RetryPolicy(attempts=5, initial_ms=1000)
    assert (routes.timeout_ms, routes.fallback) == (20_000, ("csv.query",))
    assert (deploys.tool, deploys.capability, deploys.after) == ("", "search", ("routes",))
    assert report.arguments.references == (
        Reference(into="/worst", step_id="routes", at="/rows/0"),
        Reference(into="/a~1b/0", step_id="deploys"),
    )
    assert created.plan.result is not None
    assert created.plan.result.references == (Reference(step_id="report", at="/markdown"),)
    assert (created.plan.planner, created.plan.playbook) == ("playbook", "triage@2")
    assert created.plan.rationale == "playbook triage@2: Why is it slow?"


async def test_criteria_know_the_steps_that_they_need() -> None:
    created = await plan(request())

    assert created.plan.criteria == (
        Criterion(expression="outputs.routes.rows[0].p95 > 500.0", steps=("routes",)),
        Criterion(expression="size(result) > 0", steps=("report",)),
    )


@pytest.mark.parametrize("wanted", ["triage", "triage@2"])
async def test_a_playbook_is_used_by_name_whatever_it_matches(wanted: str) -> None:
    created = await plan(request(goal="something else", playbook=wanted))

    assert created.plan.playbook == "triage@2"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("triaje", "playbook triaje not found; defined: triage@2"),
        ("triage@1", "playbook triage has version 2, not 1"),
        ("", "no playbook matches this task; defined: triage@2"),
    ],
)
async def test_the_failure_on_a_missing_playbook_lists_the_defined_ones(wanted: str, text: str) -> None:
    failure = await failure_on(request(goal="other", playbook=wanted))

    assert failure == (FailureKind.PERMANENT, "no_playbook", text)


async def test_without_any_playbook_it_says_how_to_define_one() -> None:
    world = World(planner)

    failed = await world.reply(planner.service, request())

    assert "orchestrator agents apply DIR" in failed.failure.message


async def test_a_task_that_lacks_what_a_match_asks_for_is_not_matched() -> None:
    _, code, _ = await failure_on(request(context={"log": "a.log"}))

    assert code == "no_playbook"


async def test_several_matches_are_an_error_that_names_them() -> None:
    other = TRIAGE.replace("playbook: triage", "playbook: second")

    kind, code, text = await failure_on(request(), TRIAGE, other)

    assert (kind, code) == (FailureKind.PERMANENT, "ambiguous_playbook")
    assert "second@2, triage@2" in text


async def test_a_broken_playbook_does_not_hide_the_others() -> None:
    broken = "playbook: broken\nmatch: 'true'\nsteps: {a: {tool: t, after: [b]}}\n"

    created = await plan(request(), TRIAGE, broken)
    _, _, text = await failure_on(request(goal="other"), broken)

    assert created.plan.playbook == "triage@2"
    assert "broken is invalid (playbook:3: steps.a.after.0: step b not found; the steps are a)" in text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("match: task.goal ==", "match: 'task.goal ==' is not valid CEL: line 1, column 13"),
        ("match: tsk.goal == 'x'", "uses unknown names: tsk; it may use task"),
        ("success: outputs.nope == 1", "uses outputs.nope, but step nope does not exist"),
        ("success: output.a == 1", "uses unknown names: output; it may use outputs, result, goal"),
        ("stps: {}", "stps: unknown key; did you mean steps?"),
    ],
)
async def test_a_broken_playbook_that_is_named_says_what_is_wrong(line: str, text: str) -> None:
    source = f"playbook: broken\nsteps: {{a: {{tool: t}}}}\n{line}\n"

    kind, code, message = await failure_on(request(playbook="broken"), source)

    assert (kind, code) == (FailureKind.PERMANENT, "bad_playbook")
    assert text in message


async def test_inputs_that_are_missing_or_of_another_type_are_all_named() -> None:
    source = (
        "playbook: p\n"
        "inputs: {a: {type: string}, b: {type: integer}, c: {type: object}, d: {type: number}}\n"
        "steps: {s: {tool: t}}\n"
    )

    kind, code, text = await failure_on(request({"b": True, "c": [], "d": 1}, playbook="p"), source)

    assert (kind, code) == (FailureKind.INVALID_INPUT, "inputs_do_not_fit")
    assert "a (string) is missing" in text
    assert "b must be of type integer, not True" in text
    assert "c must be of type object, not []" in text
    assert "d " not in text


@pytest.mark.parametrize("context", [[1], "text", 3])
async def test_a_context_that_is_not_an_object_is_invalid_input(context: Any) -> None:
    kind, code, _ = await failure_on(request(context))

    assert (kind, code) == (FailureKind.INVALID_INPUT, "context_not_an_object")


async def test_an_input_is_data_and_never_read_as_a_template() -> None:
    log = "${limit} {$from: routes} $${x}"

    created = await plan(request({"log": log, "env": "prod"}))

    assert plain(created.plan.steps[0].arguments.body)["file"] == log


async def test_another_revision_of_the_same_playbook_is_refused_with_the_feedback() -> None:
    first = await plan(request())
    again = request(
        call=call(CallKind.PLAN, revision=2), previous=first.plan, feedback="outputs.routes was empty"
    )

    kind, code, text = await failure_on(again)

    assert (kind, code) == (FailureKind.PERMANENT, "playbook_cannot_revise")
    assert text == "playbook triage@2 makes the same plan as before: outputs.routes was empty"


async def test_another_revision_is_made_when_the_playbook_has_changed() -> None:
    first = await plan(request())
    again = request(call=call(CallKind.PLAN, revision=2), previous=first.plan)

    created = await plan(again, TRIAGE.replace("timeout: 20s", "timeout: 40s"))

    assert created.plan.steps[0].timeout_ms == 40_000


async def test_an_expired_command_fails_and_is_not_handled() -> None:
    kind, code, _ = await failure_on(request(not_after=START - 1))

    assert (kind, code) == (FailureKind.TRANSIENT, "expired")


async def test_the_failure_on_an_unknown_planner_lists_the_installed_ones() -> None:
    failure = await failure_on(request(planner="gpt"))

    assert failure == (
        FailureKind.PERMANENT,
        "unknown_planner",
        "planner gpt not found; installed: playbook",
    )


@pytest.mark.parametrize(
    ("outcome", "kind", "code"),
    [
        (TransientError("busy", code="rate_limited"), FailureKind.TRANSIENT, "rate_limited"),
        (TimeoutError(), FailureKind.TRANSIENT, "unavailable"),
        (ZeroDivisionError("x"), FailureKind.PERMANENT, "planner_error"),
        ("no plan", FailureKind.PERMANENT, "planner_error"),
    ],
)
async def test_each_way_a_planner_breaks_has_its_failure_kind(
    outcome: Any, kind: FailureKind, code: str
) -> None:
    @declare_planner("mine")
    async def mine(request: PlanRequest) -> PlannedPlan:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    failed = await plan(request(planner="mine"), world=World(planner, mine))

    assert (failed.failure.kind, failed.failure.code) == (kind, code)


async def test_the_plan_of_another_planner_is_sent_with_its_usage() -> None:
    @declare_planner("mine")
    async def mine(request: PlanRequest, context: Context) -> PlannedPlan:
        context.use(tokens_input=7, cost_usd=0.5)
        first = step("a", "t", goal=request.goal)
        return PlannedPlan(
            [first, step("b", "t")],
            result=first.output,
            success=[
                Criterion(expression=text)
                for text in ("outputs.b.n > 1", "result != null", "the text is friendly")
            ],
        )

    created = await plan(request(planner="mine"), world=World(planner, mine))

    assert created.plan.planner == "mine"
    assert [criterion.steps for criterion in created.plan.criteria] == [("b",), ("a",), ()]
    assert (created.usage.tokens_input, created.usage.cost_micro_usd) == (7, 500_000)


async def test_a_long_rationale_is_cut_because_several_messages_carry_it() -> None:
    @declare_planner("mine")
    async def mine(request: PlanRequest) -> PlannedPlan:
        return PlannedPlan([step("a", "t")], rationale="because " * 1_000)

    created = await plan(request(planner="mine"), world=World(planner, mine))

    assert len(created.plan.rationale) == MOST_RATIONALE
    assert created.plan.rationale.startswith("because because")
    assert created.plan.rationale.endswith("…")


class Shelf(MemoryValues):
    """A value store for everything."""

    async def store(self, content: Any) -> Value:
        inline = json_value(content)
        return Value(uri="shelf:1", size=inline.size, sha256=inline.sha256)


async def test_large_arguments_go_where_large_values_go_and_small_ones_stay() -> None:
    world = World(planner)
    world.values = Shelf()
    large = {"log": "x" * 5_000, "env": "prod"}

    created = await plan(request(large), world=world)

    routes, _, report = created.plan.steps
    assert routes.arguments.body.uri == "shelf:1"
    assert report.arguments.body.inline is not None
    failed = await plan(request(large, call=call(revision=2), previous=created.plan), world=world)
    assert failed.failure.code == "playbook_cannot_revise"


def test_the_published_schema_is_the_grammar_s() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "run `python -m orchestrator_services.planner.schema`"
    )


def test_the_published_schema_accepts_what_we_accept() -> None:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    example = incident_example.FOLDER / "playbook.yaml"

    for source in (TRIAGE, example.read_text(encoding="utf-8")):
        assert list(validator.iter_errors(yaml.safe_load(source))) == []
    assert list(validator.iter_errors({"playbook": "a", "steps": {"s": {"tool": "a", "capability": "b"}}}))
    assert list(validator.iter_errors({"playbook": "a", "steps": {"s": {"tool": "a"}}, "x": 1}))


async def test_the_example_s_playbook_can_be_planned() -> None:
    source = (incident_example.FOLDER / "playbook.yaml").read_text(encoding="utf-8")

    created = await plan(request({}, playbook="incident-triage"), source)

    assert isinstance(created, events.PlanCreated), created
