"""The state of partitions in memory, and the records that persist it."""
