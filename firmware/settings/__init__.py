"""Settings: one TOML file a program, read into frozen dataclasses, every fault told at once."""
