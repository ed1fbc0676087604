"""The lights on gpiozero's mock pins: what is decided is what the pins show."""

from pathlib import Path

import pytest

from appliance.events import OutboxChanged, SyncChanged, WorkerRestarted
from appliance.lights.patterns import FLASH_NS, Light
from appliance.lights.pins import Lights, LightsConfig, LightsError, PinFactory

MOCK = PinFactory.MOCK
S = 1_000_000_000


class Clock:
    """A clock the test sets."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_delivery_light_follows_the_way_to_the_collector() -> None:
    clock = Clock()
    lights = Lights(LightsConfig(factory=MOCK), clock_ns=clock)
    lights.tick()
    assert lights.lit()[Light.DELIVERY], "not connected: the slow flash starts at once"
    lights.on_event(SyncChanged(state="connected", message=""))
    lights.tick()
    assert not lights.lit()[Light.DELIVERY]
    lights.on_event(OutboxChanged(waiting=0, acknowledged=20, quarantined=0))
    lights.tick()
    assert lights.lit()[Light.DELIVERY]
    clock.now_ns += FLASH_NS
    lights.tick()
    assert not lights.lit()[Light.DELIVERY]
    lights.close()


def test_a_stalled_device_lights_attention_and_dark_means_dark() -> None:
    for dark in (False, True):
        clock = Clock()
        lights = Lights(LightsConfig(factory=MOCK, dark=dark, stalled_after_s=60), clock_ns=clock)
        lights.on_event(WorkerRestarted(reason="killed"))
        clock.now_ns = 61 * S
        lights.tick()
        assert lights.lit() == {
            Light.NETWORK: False,
            Light.DELIVERY: False,
            Light.ATTENTION: not dark,
        }
        lights.close()


def test_the_thread_drives_the_pins_and_ends_with_the_context() -> None:
    with Lights(LightsConfig(factory=MOCK)) as lights:
        assert lights.simulated
    assert lights.fault is None


def test_two_lights_on_one_pin_are_refused() -> None:
    with pytest.raises(LightsError, match="pin 17"):
        Lights(LightsConfig(factory=MOCK, delivery_pin=17))


@pytest.mark.skipif(Path("/dev/gpiochip0").exists(), reason="this machine has pins: nothing to refuse")
def test_real_pins_asked_for_on_a_machine_without_them() -> None:
    with pytest.raises(LightsError, match="set factory to mock"):
        Lights(LightsConfig(factory=PinFactory.LGPIO))
