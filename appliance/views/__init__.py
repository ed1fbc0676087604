"""What people read of a device: the live view, plain lines, status."""
