"""The queue between measuring and the collector: what waits, what an ack lets go, what is evicted."""
