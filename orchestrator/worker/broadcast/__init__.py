"""Topics that every process reads in full: definitions and cancellations."""
