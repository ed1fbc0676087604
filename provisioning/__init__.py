"""Tidegauge's identities: the certificate authority, what devices, brokers and collectors are given, revocation."""
