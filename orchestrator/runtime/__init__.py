"""Processes at work: the saga loop, workers and sinks, each with its thread."""
