"""Restores partitions from the log, and verifies histories offline."""
