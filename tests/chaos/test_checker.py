"""The checker finds every kind of fault that is injected into a sound run, and none in a sound run."""

import ast
from dataclasses import replace
from pathlib import Path

from tests.chaos.checker import Run, Violation, check
from tests.chaos.run_writer import (
    FIRST,
    SECOND,
    RunWriter,
    again,
    call,
    changed,
    found,
    renumbered,
    sound_run,
    without,
)
from tests.chaos.topics import UNREADABLE, Record


def rules(violations: list[Violation]) -> set[str]:
    return {violation.rule for violation in violations}


def whole(records: list[Record]) -> set[str]:
    """Rules that are broken apart from `gapless`."""
    return rules(check(renumbered(records)))


def test_a_sound_run_is_found_sound() -> None:
    assert check(sound_run(), sound_run()) == []
    assert Run(sound_run()).outcomes == {"TaskCompleted": 1, "TaskEscalated": 1}


def test_a_task_without_a_history() -> None:
    records = [record for record in sound_run() if record.topic == "tasks" or record.session == FIRST]
    assert check(records) == [Violation("settled", SECOND, "it has no history")]


def test_a_session_that_goes_on() -> None:
    records = sound_run()
    assert rules(check(without(records, found(records, "TaskCompleted")))) == {"settled"}


def test_a_session_that_ends_twice() -> None:
    records = sound_run()
    ended = again(records, found(records, "TaskCompleted"), event_id="another", sequence=99)
    assert whole(ended) == {"settled", "terminal is last"}


def test_an_event_after_the_end() -> None:
    records = sound_run()
    assert whole(again(records, found(records, "TaskReceived"), event_id="another")) == {"terminal is last"}


def test_an_escalation_without_its_dead_letter() -> None:
    records = sound_run()
    assert rules(check(without(records, found(records, "MessageDeadLettered", SECOND)))) == {"dead letters"}


def test_a_dead_letter_without_an_escalation() -> None:
    records = sound_run()
    poison = again(records, found(records, "MessageDeadLettered", SECOND), event_id="another")
    assert rules(check(poison)) == {"dead letters"}


def test_a_record_that_cannot_be_read_has_a_dead_letter() -> None:
    run = RunWriter()
    run.write("events", UNREADABLE, FIRST)
    unread = [*sound_run(), replace(run.records[0], offset=99, body={})]
    original = {"topic": "events", "partition": 0, "offset": 99}
    last = found(unread, "MessageDeadLettered", SECOND)
    told = again(unread, last, event_id="another", original=original)

    assert rules(check(unread)) == {"unreadable"}
    assert check(told) == []
    assert check(again(told, told[-1])) == []


def test_a_gap() -> None:
    records = sound_run()
    assert "gapless" in rules(check(without(records, found(records, "StepAssigned"))))


def test_a_number_that_comes_twice() -> None:
    records = sound_run()
    twice = changed(records, found(records, "PlanStepReady"), sequence=3)
    assert rules(check(twice)) == {"gapless"}


def test_a_history_in_two_partitions() -> None:
    records = sound_run()
    last = found(records, "TaskCompleted")
    assert "at home" in rules(check([*without(records, last), replace(last, partition=1)]))


def test_a_message_that_was_committed_twice() -> None:
    records = sound_run()
    assert rules(check(again(records, found(records, "CreatePlan")))) == {"ids unique", "calls open once"}


def test_a_step_that_succeeds_twice() -> None:
    records = sound_run()
    other_run = found(records, "StepSucceeded")
    twice = changed(records, found(records, "StepSucceeded", nth=1), call=other_run.body["call"])
    assert "steps succeed once" in whole(twice)


def test_an_attempt_that_begins_twice() -> None:
    records = sound_run()
    ready = found(records, "PlanStepReady", nth=1)
    assert "calls open once" in whole(changed(records, ready, call=call(FIRST, "SELECTION", "a")))


def test_a_call_without_its_command() -> None:
    records = sound_run()
    assert rules(check(without(records, found(records, "EvaluateTask")))) == {"calls open once"}


def test_a_command_of_an_aborted_transaction() -> None:
    records = sound_run()
    command = found(records, "CreatePlan")
    stray = again(records, command, event_id="another", call=call(FIRST, "PLAN", attempt=2))
    assert rules(check(stray)) == {"calls open once"}


def test_an_effect_of_an_aborted_reply() -> None:
    records = sound_run()
    assert rules(check(without(records, found(records, "ToolFailed")))) == {"effects have causes"}


def test_a_reply_that_counts_twice() -> None:
    records = sound_run()
    first = found(records, "StepAssigned")
    twice = changed(records, found(records, "StepAssigned", nth=1), causation_id=first.causation_id)
    assert "effects have causes" in rules(check(twice))


def test_a_reply_that_is_ignored() -> None:
    """The session continues after a timeout, and is sound except for the reply."""
    run = RunWriter()
    run.ready(FIRST, "a", run.begin(FIRST))
    ignored = run.reply("ToolSelected", FIRST, call=call(FIRST, "SELECTION", "a"))
    run.begin(SECOND)
    waiting = call(FIRST, "RECOVERY", "a")
    run.history("CallTimedOut", FIRST, "due", call=call(FIRST, "SELECTION", "a"), next=waiting)
    faults = [violation for violation in check(run.records) if violation.rule == "replies count"]
    assert [fault.session for fault in faults] == [FIRST]
    assert ignored == "events-1"
    assert "ToolSelected at events/0/1 was ignored" in faults[0].what


def test_a_reply_after_its_timeout_may_be_ignored() -> None:
    run = RunWriter()
    run.ready(FIRST, "a", run.begin(FIRST))
    waiting = call(FIRST, "RECOVERY", "a")
    run.history("CallTimedOut", FIRST, "due", call=call(FIRST, "SELECTION", "a"), next=waiting)
    run.reply("ToolSelected", FIRST, call=call(FIRST, "SELECTION", "a"))
    run.begin(SECOND)
    assert rules(check(run.records)) == {"settled"}


def test_a_reply_after_its_cancel_may_be_ignored_whatever_is_repeated_behind_it() -> None:
    """A cancel is in another topic: no reply shows when it was read."""
    # given: a failed call that recovery decides about, and a cancel that closes it
    run = RunWriter()
    run.ready(FIRST, "a", run.begin(FIRST))
    broken = call(FIRST, "RECOVERY", "a")
    failed = run.reply("ToolFailed", FIRST, call=call(FIRST, "TOOL", "a"))
    run.history("CallFailed", FIRST, failed, call=broken)
    run.history("CancelRequested", FIRST, "control-0")
    # when: recovery replies, and a reply that was taken long ago is repeated behind it
    run.reply("RetryScheduled", FIRST, call=broken)
    repeated = again(run.records, found(run.records, "ToolFailed"))
    # then: the only violation is the session that has not settled
    assert rules(check(repeated)) == {"settled"}


def test_a_repeated_reply_may_be_ignored() -> None:
    records = sound_run()
    assert check(again(records, found(records, "ToolCompleted"))) == []


def test_a_reply_that_counts_as_late_while_its_call_is_open() -> None:
    run = RunWriter()
    run.ready(FIRST, "a", run.begin(FIRST))
    selected = run.reply("ToolSelected", FIRST, call=call(FIRST, "SELECTION", "a"))
    run.history("UsageRecorded", FIRST, selected, call=call(FIRST, "SELECTION", "a"))
    assert rules(check(run.records)) == {"settled", "replies count"}


def test_a_reply_to_a_call_that_was_never_opened() -> None:
    records = sound_run()
    command = found(records, "ToolSelected")
    unknown = again(records, command, event_id="another", call=call(FIRST, "SELECTION", "z"))
    assert rules(check(unknown)) == {"replies count"}


def test_replies_out_of_order() -> None:
    records = sound_run()
    first, second = (found(records, "StepAssigned", nth=nth) for nth in (0, 1))
    swapped = [
        replace(record, offset=second.offset if record is first else first.offset)
        if record in (first, second)
        else record
        for record in records
    ]
    assert "replies count" in whole(sorted(swapped, key=lambda record: (record.topic, record.offset)))


def test_a_reader_that_missed_a_record() -> None:
    records = sound_run()
    assert rules(check(records, without(records, found(records, "StepAssigned")))) == {"readers agree"}


def test_a_reader_that_saw_an_aborted_record() -> None:
    records = sound_run()
    assert rules(check(records, again(records, found(records, "StepAssigned")))) == {"readers agree"}


def test_a_reader_that_saw_something_else() -> None:
    records = sound_run()
    seen = found(records, "StepAssigned")
    assert rules(check(records, [*without(records, seen), replace(seen, digest="other")])) == {
        "readers agree"
    }


def test_a_reader_that_saw_a_record_twice() -> None:
    records = sound_run()
    assert rules(check(records, [*records, found(records, "ToolFailed")])) == {"readers agree"}


def test_it_is_written_apart_from_the_engine() -> None:
    for name in ("checker.py", "calls.py", "topics.py"):
        tree = ast.parse((Path(__file__).parent / name).read_text(encoding="utf-8"))
        imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        imported += [
            each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names
        ]
        assert [module for module in imported if module.split(".")[0] == "orchestrator"] == []
