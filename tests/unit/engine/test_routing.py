"""From records to inputs: what changes no session is left out, what no session handles is a contract error."""

from typing import Any

import pytest

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.engine.routing import Routed, Router
from orchestrator.errors import ContractError
from orchestrator.messages import commands, events, identity
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import AgentProfile, ReplyAddress
from orchestrator.saga import Submission
from orchestrator.saga.replies import NOT_REPLIES
from tests.support.samples import sample_of

SESSION = identity.derived_id("routing")
CODEC = Codec(CatalogueIds())


def routed(message: Message, topic: Topic) -> Any:
    return Router(CODEC, partitions=1, installation="here").route(arrived(message, topic))


def arrived(message: Message, topic: Topic) -> Received:
    sent = CODEC.encode(message, source="/test")
    return Received(topic, 0, 7, 1, SESSION.encode(), sent.value, sent.headers)


@pytest.mark.parametrize(
    ("kind", "topic"), [(events.ToolCompleted, Topic.EVENTS), (commands.CancelTask, Topic.CONTROL)]
)
def test_a_message_with_a_handler_is_an_input_as_it_is(kind: type[Any], topic: Topic) -> None:
    message = sample_of(kind, correlation_id=SESSION)
    found = routed(message, topic)
    assert found == Routed(SESSION, message)
    assert found.input(arrived(message, topic), {}.get) == message


def test_a_task_is_an_input_with_its_agents_profile_and_its_record() -> None:
    message = sample_of(commands.SubmitTask, correlation_id=SESSION, agent="cook")
    found = routed(message, Topic.TASKS).input(arrived(message, Topic.TASKS), {"cook": COOK}.get)
    assert isinstance(found, Submission)
    assert (found.task, found.profile, found.original.offset) == (message, COOK, 7)


COOK = AgentProfile(name="cook")


def test_texts_in_the_place_of_ids_are_not_remembered() -> None:
    router = Router(CODEC, partitions=1, installation="here")
    for number in range(20):
        message = sample_of(commands.CancelTask, correlation_id=f"{number}" * 100_000)
        with pytest.raises(ContractError, match="is not a UUID"):
            router.route(arrived(message, Topic.CONTROL))
    assert router.remembered == 0


@pytest.mark.parametrize(
    "name", ["command_id", "causation_id", "parent", "agent", "tenant", "key", "playbook"]
)
def test_a_task_whose_ids_or_names_are_long_is_no_task(name: str) -> None:
    message = sample_of(commands.SubmitTask, correlation_id=SESSION, **{name: "x" * 256})
    with pytest.raises(ContractError, match="has 256 characters, and may have 255"):
        routed(message, Topic.TASKS)


def test_a_task_that_replies_to_a_long_id_is_no_task() -> None:
    address = ReplyAddress(correlation_id=SESSION, call_id="x" * 256)
    message = sample_of(commands.SubmitTask, correlation_id=SESSION, reply_to=address)
    with pytest.raises(ContractError, match="the task's reply_to has 256 characters"):
        routed(message, Topic.TASKS)


@pytest.mark.parametrize("kind", sorted(NOT_REPLIES, key=str))
def test_signs_of_life_are_left_out(kind: type[Message]) -> None:
    assert routed(sample_of(kind, correlation_id=SESSION), Topic.EVENTS) is None


class CodecWithoutTopics:
    """Decodes to a given message, as if the catalogue had it in the record's topic."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def decode_now(self, _received: Received) -> Message:
        return self.message


@pytest.mark.parametrize("kind", [commands.ExecuteTool, events.TaskCompleted, events.ToolDefined])
def test_a_message_without_a_handler_is_a_contract_error(kind: type[Message]) -> None:
    codec: Any = CodecWithoutTopics(sample_of(kind))
    record = Received(Topic.CONTROL, 0, 7, 1, SESSION.encode(), b"", ())
    with pytest.raises(ContractError, match=f"no session handles agents.*{kind.__name__} from topic control"):
        Router(codec, partitions=1, installation="here").route(record)
