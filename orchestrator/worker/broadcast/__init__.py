"""What every process reads whole: definitions, and calls that are void."""
