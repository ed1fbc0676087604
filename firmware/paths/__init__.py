"""The way a packet takes: routers by their errors, and the largest packet that passes."""
