"""Whom the collector believes: the devices' certificates, what was revoked, and its own signature."""
