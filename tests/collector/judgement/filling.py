"""A store with rounds of devices in every kind of network, for tests of a country's verdict. It judges nothing."""

from collector.store.database import Store
from collector.store.vantage_streaks import NS
from tests.collector.page import invented
from tests.collector.page.stories import BEGAN_S, devices


def fill(store: Store, *, last_s: dict[str, int] | None = None) -> int:
    """Store ten rounds of two devices a network, a round every 120 s; `last_s` cuts a network's short. Return the end."""
    end_s = BEGAN_S + 1200
    for device in devices():
        for at_s in range(BEGAN_S, min(end_s, (last_s or {}).get(device.network, end_s)), 120):
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 5) * NS)
    return end_s * NS
