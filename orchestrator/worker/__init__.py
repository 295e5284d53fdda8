"""The worker loop: reads for one service, runs its handlers side by side, commits what is done."""
