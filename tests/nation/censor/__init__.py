"""A censor of our own: a bump in the wire that drops, resets, forges, throttles and spoils by readable rules.

What it can do and how a rules file is written: docs/how-to/censor.md. It must never be started outside of a
network namespace that was made for it: it forges packets.
"""
