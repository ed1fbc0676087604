"""What waits on a device, carried out by hand: onto a stick, and the collector's answers back from it."""
