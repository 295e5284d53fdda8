"""What the loop holds in memory of its partitions, and the forms in which it is written down."""
