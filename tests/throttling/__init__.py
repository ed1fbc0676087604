"""Lines drawn from seeds, with a throttle or without, and what paired runs say of them. Nothing here knows the rules."""
