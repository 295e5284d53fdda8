"""The saga's loop: takes a batch, decides it, writes it in one transaction, and makes it live."""
