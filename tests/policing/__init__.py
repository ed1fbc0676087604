"""Real TCP through real policers and shapers, and what the packets and the kernel's counts say of it."""
