"""How records reach the collector: over the network, or on a USB drive."""
