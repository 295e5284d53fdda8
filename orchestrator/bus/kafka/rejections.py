"""What librdkafka rejects of an installation's settings, without a connection to anything."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer

from orchestrator.bus.kafka.config import consumer_defaults, producer_defaults
from orchestrator.bus.kafka.errors import error_of
from orchestrator.bus.ports import Reading, Start
from orchestrator.bus.settings import BusSettings

_WHOLE: Final = "Failed to create"
"""What librdkafka begins with when settings do not fit together, or name files that it cannot read."""
_QUIET: Final = {"log_level": 0}
_READING: Final = Reading(group="check", start=Start.ERROR)


def text_of(error: KafkaException | SystemError) -> str:
    """Why librdkafka rejects settings, on one line, without their values."""
    before, found, rest = error_of(error).str().partition('Invalid value "')
    # All values may be secrets, and this text shows one.
    _, end, after = rest.rpartition('" for ')
    text = f"{before}Invalid value for {after}" if end else f"{before}{found}{rest}"
    return " ".join(text.split())


def rejections(settings: BusSettings) -> list[str]:
    """All that librdkafka rejects: each setting by itself, or else all together. Clients have no addresses, and fetch
    no token."""
    given = {name: value for name, value in settings.kafka_config().items() if name != "bootstrap.servers"}
    alone = [_rejection(Producer, {**_QUIET, name: value}) for name, value in given.items()]
    if problems := [why for why in alone if why and not why.startswith(_WHOLE)]:
        return problems
    given.pop("sasl.oauthbearer.method", None)
    consumer = {**consumer_defaults(_READING), **given, **_QUIET, "group.id": _READING.group}
    producer = {**producer_defaults(), **given, **_QUIET, "enable.idempotence": True}
    together = [_rejection(Consumer, consumer), _rejection(Producer, producer)]
    return [why for why in dict.fromkeys(together) if why]


def _rejection(make: Callable[[dict[str, Any]], object], config: Mapping[str, Any]) -> str:
    try:
        make(dict(config))
    except (KafkaException, SystemError) as error:
        return text_of(error)
    return ""
