"""The read model: what happened in sessions, kept in a database and shown to people."""
