"""What was measured and not yet delivered: the data directory, the database, the way into it."""
