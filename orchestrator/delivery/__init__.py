"""What the engine and the workers both write when a message cannot be processed or delivered."""
