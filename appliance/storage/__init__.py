"""The outbox's database on the card: its files, its tables, and the recovery of what is damaged."""
