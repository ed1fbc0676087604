"""What waits on a device, carried out by hand: onto a USB drive, and the collector's answers back from it."""
