"""Fingerprints: addresses, headers and texts by which a censor's answer is known, in OONI's CSV format."""
