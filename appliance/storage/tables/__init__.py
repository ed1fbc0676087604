"""What stands in the database, and whether it is what was written. Statements, no transactions."""
