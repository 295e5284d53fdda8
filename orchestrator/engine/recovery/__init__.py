"""From the log back to memory: restoring partitions, and checking histories offline."""
