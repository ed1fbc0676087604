"""A broker as a child of the collector."""
