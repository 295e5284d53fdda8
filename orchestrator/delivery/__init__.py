"""What the engine and workers both write when something cannot be delivered."""
