"""The way in from the broker."""
