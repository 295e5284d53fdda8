"""Values that are too large to travel in messages: where they lie, and how they are named."""
