"""The three lights: what they mean, and the hands that set the pins."""
