"""The running collector: its parts made and tied together, started, and ended in reverse order."""
