"""The worker: reads for one service, runs its handlers side by side, and commits what is completed."""
