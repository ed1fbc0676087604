"""What is read of a damaged database, its pages and its log, without SQLite."""
