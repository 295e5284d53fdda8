"""The telemetry of a process: traces, metrics, logs, health."""
