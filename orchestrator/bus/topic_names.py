"""Names of topics in a cluster: the catalogue's, behind an installation's prefix."""

from orchestrator.messages.catalogue import Topic


class TopicNames:
    """Full names of topics, and topics by their full names."""

    def __init__(self, prefix: str) -> None:
        self._full = {topic: f"{prefix}{topic}" for topic in Topic}
        self._topics = {full: topic for topic, full in self._full.items()}

    def full(self, topic: Topic) -> str:
        return self._full[topic]

    def topic(self, full: str) -> Topic:
        return self._topics[full]
