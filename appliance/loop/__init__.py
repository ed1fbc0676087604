"""What the loop of a device does with what is due and what has come."""
