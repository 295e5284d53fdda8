"""Values that are too large to travel in messages: where they are stored, and how they are named."""
