"""Kafka behind small ports: codec, registry, topics, clients, value store."""
