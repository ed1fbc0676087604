"""What time it is, how far to trust it, and when a moment on a boot clock was."""
