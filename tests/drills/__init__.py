"""Drills: long trials of what must survive, one command each, with its seed printed: `python -m tests.drills NAME`."""
