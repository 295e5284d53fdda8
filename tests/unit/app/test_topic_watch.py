"""When a topic counts as deleted or recreated. `seen` is what each look finds; None is a look that fails."""

from collections.abc import Collection, Mapping

import pytest

from orchestrator.app.topic_watch import TopicWatch
from orchestrator.errors import UnavailableError
from orchestrator.messages.catalogue import Topic
from tests.support.workers import until

TOPIC = Topic.PLAN_COMMANDS


class Brokers:
    """Responds to each look with the next id of the topic, then with the last one again."""

    def __init__(self, seen: Collection[str | None]) -> None:
        self.seen = list(seen)
        self.looks = 0

    def topic_ids(self, _topics: Collection[Topic]) -> Mapping[Topic, str]:
        self.looks += 1
        found = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        if found is None:
            raise UnavailableError("no broker responds")
        return {TOPIC: found} if found else {}


@pytest.mark.parametrize(
    "seen",
    [
        ["a"],
        [None],
        [None, "a", None, None],
        ["", "", "a"],
        ["a", "", "a", "", "a"],
        ["a", "b", "a", None, "a"],
        ["a", None, "", None, "a"],
    ],
    ids=str,
)
def test_what_is_no_change_of_a_topic(seen: list[str | None]) -> None:
    brokers = Brokers(seen)
    watch = TopicWatch(brokers.topic_ids, [TOPIC], every_s=0)
    looks = len(seen) + 2

    watch.start()
    until(lambda: brokers.looks >= looks or watch.failure is not None, "all looks")
    watch.stop()

    assert watch.failure is None


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (["a", ""], "commands was deleted. Restart"),
        (["a", "b"], "commands was deleted and created again. Restart"),
        (["a", "", "b"], "commands was deleted and created again. Restart"),
        ([None, "a", "", None, ""], "commands was deleted. Restart"),
    ],
    ids=str,
)
def test_a_topic_that_changed_in_two_looks_in_a_row_is_a_failure(seen: list[str | None], said: str) -> None:
    watch = TopicWatch(Brokers(seen).topic_ids, [TOPIC], every_s=0)

    watch.start()
    until(lambda: watch.failure is not None, "a failure")

    assert said in str(watch.failure)
