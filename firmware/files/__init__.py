"""Files as device, collector and authority write them: whole or not at all, and durable."""
