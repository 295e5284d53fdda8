"""Benchmarks on a real Kafka: each is one module and one command, `python -m benchmarks NAME`."""
