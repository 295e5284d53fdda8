"""Settings, and the wiring of services into processes."""
