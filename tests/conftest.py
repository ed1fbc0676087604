"""What every test shares: how property tests search, and nothing else. What a test needs is in tests/needs.py."""

from hypothesis import HealthCheck, settings

# No time limits: machines are noisy. A failing example is printed so that it can be run again anywhere.
settings.register_profile(
    "tidegauge", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tidegauge")
