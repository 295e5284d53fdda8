"""Services: sets of handlers `(message, context) -> messages`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages.base import Command, Definition, Event, Message
from orchestrator.messages.catalogue import Topic, entry_of
from orchestrator.messages.events import ModelProgressed, ToolProgressed, UsageReported
from orchestrator.sdk.callables import require_callable
from orchestrator.sdk.declarations import refuse
from orchestrator.sdk.service_context import Platform, ServiceContext

Outputs: TypeAlias = Message | Iterable[Message] | None
Handler: TypeAlias = Callable[[Any, ServiceContext], Awaitable[Outputs]]
H = TypeVar("H", bound=Handler)
Predicate: TypeAlias = Callable[[Any], bool]
Announcement: TypeAlias = Callable[[Platform], Iterable[Definition]]
Discovery: TypeAlias = Callable[[Platform], AsyncIterator[Iterable[Definition]]]


def _nothing(_platform: Platform) -> Iterable[Definition]:
    return ()


def _never(_message: Any) -> bool:
    return False


def _always(_message: Any) -> bool:
    return True


@dataclass
class Service:
    """A consumer group with its handlers.

    The messages of a partition are handled concurrently, at most `concurrency` at once in a process; with
    `ordered`, those of one session one after the other. A message is done when Kafka has acknowledged its
    outputs.
    """

    role: ClassVar[str] = "service"

    name: str
    ordered: bool = False
    concurrency: int = 100
    handlers: dict[type[Command | Event], Handler] = field(default_factory=dict)
    announcement: Announcement = _nothing
    """The definitions that exist because this service runs, sent when it starts, before its first message."""
    discovery: Discovery | None = None
    """The definitions that it finds while it runs, each sent when it is found."""
    at_most_once: Predicate = _never
    """Which messages must not be handled twice: their offsets are committed before their handler starts."""
    group: str = ""
    """Its consumer group; `name` if empty. Copies in one group share the messages, each group gets all of them."""
    takes: Predicate = _always
    """Which of the messages that it has handlers for it handles; it skips the others."""
    writes: Collection[type[Message]] | None = None
    """The messages that its handlers return or send; none, if empty. Its rights on Kafka follow from them, and what
    goes to other topics is refused. Without a declaration it may reply to `events` and report progress."""
    has_pools: bool = False
    """Whether some of its copies form consumer groups of their own, each named after the service: NAME-POOL."""

    def on(self, *messages: type[Command | Event]) -> Callable[[H], H]:
        """Declares `async def f(message, context)` as the handler of these message types. What it returns is sent.

        Raises `ConfigurationError` if one of them has a handler already, or the function cannot be called.
        """

        def declare(handler: H) -> H:
            require_callable(handler, f"service {self.name}: the handler", "message", "context")
            for message in messages:
                if message in self.handlers:
                    refuse(
                        ConfigurationError(
                            f"service {self.name} has two handlers for {message.__name__}: remove one"
                        )
                    )
                self.handlers[message] = handler
            return handler

        return declare

    def announces(self, announcement: Announcement) -> Announcement:
        """Declares `f(platform) -> definitions` as what is sent when the service starts."""
        self.announcement = announcement
        return announcement

    def discovers(self, discovery: Discovery) -> Discovery:
        """Declares `async def f(platform)`, an iterator over definitions that are found while messages are handled.

        Definitions are published as they come. An empty item says that everything was asked once, whatever the
        answer: tests wait for it. The iterator runs until the service stops, and what it raises ends it alone.
        """
        self.discovery = discovery
        return discovery

    def service(self) -> "Service":
        """Itself: every plug-in with a consumer group has a service."""
        return self

    @property
    def consumer_group(self) -> str:
        return self.group or self.name

    @property
    def announces_something(self) -> bool:
        """Whether definitions exist because it runs."""
        return self.announcement is not _nothing or self.discovery is not None

    @property
    def topics(self) -> frozenset[Topic]:
        """The topics it reads."""
        return frozenset(entry_of(message).topic for message in self.handlers)

    @property
    def output_topics(self) -> frozenset[Topic]:
        """The topics it writes, besides dead letters."""
        if self.writes is None:
            written = {Topic.EVENTS, Topic.PROGRESS}
        else:
            written = {entry_of(message).topic for message in self.writes}
        return frozenset(written | ({Topic.DEFINITIONS} if self.announces_something else set()))

    def emits(self, message: Message) -> bool:
        """Whether a message is sent that a handler emits: reports of a service that does not write their topic are left
        out, since nobody waits for them. Raises `ContractError` as `require_written` does."""
        if isinstance(message, _REPORTS) and entry_of(type(message)).topic not in self.output_topics:
            return False
        self.require_written((message,))
        return True

    def require_written(self, messages: Iterable[Message]) -> None:
        """Raises `ContractError` for a message that goes to a topic which this service does not write."""
        for message in messages:
            topic = entry_of(type(message)).topic
            if topic not in self.output_topics:
                raise ContractError(
                    f"service {self.name} may not write {type(message).__name__}, which goes to {topic}: name it in "
                    "the service's `writes`"
                )


_REPORTS: Final = (ToolProgressed, ModelProgressed, UsageReported)
"""What `context.progress` and the streams of models send, and `context.report_usage`."""
MOST_OUTPUTS: Final = 10_000
"""Messages that one handler may return: they are sent together, and an iterator may have no end."""


def as_messages(outputs: Outputs) -> tuple[Message, ...]:
    """What a handler returned, as a tuple. Raises `ContractError` for what is not messages, or has no end."""
    if outputs is None:
        return ()
    if isinstance(outputs, Message):
        return (outputs,)
    if not isinstance(outputs, Iterable):
        raise ContractError(
            f"a handler returned {type(outputs).__name__}: return a message, several of them, or nothing"
        )
    messages = tuple(islice(outputs, MOST_OUTPUTS + 1))
    if len(messages) > MOST_OUTPUTS:
        raise ContractError(f"a handler returned more than {MOST_OUTPUTS} messages")
    for message in messages:
        if not isinstance(message, Message):
            raise ContractError(f"a handler returned {type(message).__name__} where messages were expected")
    return messages
