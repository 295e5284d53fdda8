"""Changes settings of topics."""

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not re-exported
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topic_names import TopicNames
from orchestrator.messages.catalogue import Topic
from tests.support.workers import until


def limit_record_size(bus: KafkaBus, settings: BusSettings, topic: Topic, size: int) -> None:
    """Limits a topic to records of `size` bytes; returns when the broker applies the limit."""
    change_topic(bus, settings, topic, "max.message.bytes", str(size))


def change_topic(bus: KafkaBus, settings: BusSettings, topic: Topic, name: str, value: str) -> None:
    """Changes a setting of a topic; returns when the broker applies it."""
    full = TopicNames(settings.topic_prefix).full(topic)
    wanted = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, full, incremental_configs=[wanted])
    for altered in bus.admin.incremental_alter_configs([resource]).values():
        altered.result()
    described = ConfigResource(ResourceType.TOPIC, full)

    def is_applied() -> bool:
        [answer] = bus.admin.describe_configs([described]).values()
        return bool(answer.result()[name].value == value)

    until(is_applied, f"{name} of {full} is {value}")
