"""The measurement server: the far end of a device's transfers, a process of its own that keeps nothing of the collector's."""
