"""How fast it is, on a real Kafka: each benchmark is one module and one command, `python -m benchmarks NAME`."""
