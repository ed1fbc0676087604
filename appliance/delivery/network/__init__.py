"""The way to the collector: what to send when, over which link."""
