"""`kill -9` of device, worker, broker and collector, at random moments and at every named step of the ack protocol.

All of them are the real commands, over TLS, with every message signed (`tests.drills.kill_scene`). Random moments and steps
(`tests.drills.orders` has them) take turns. At a step whoever is to die dies, also when the step is another's: the broker
when the device has just sent, the collector when it has committed and not yet answered. Who died is started again, the
worker by the device, which must have recorded the gap. Every so often all must come to rest, and the account must be
exact: `tidegauge collector audit` finds nothing missing and every record proved, what was produced is stored, once, in
one epoch, and every record that the device was told was durable is stored with the content it had.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

from tests.drills.kill_scene import DrillError, Scene
from tests.drills.orders import HELLO_SENT, STEPS, VICTIMS
from tests.servers.http import http, page
from tests.servers.tcp import TcpServer

AUDIT_EVERY = 50
MOMENT_S = 1.5
"""Random moments lie within this after the one before has been dealt with."""

OUTAGE_AT = 25
"""At this kill between two audits who died stays away for `OUTAGE_S`, so that a backlog is there at the next kills."""
OUTAGE_S = 8.0


def drill(*, times: int, seed: int, audit_every: int = AUDIT_EVERY) -> bool:
    """Kill `times` times; print what was found. `audit_every` is even: an order is given before its own kill."""
    assert audit_every % 2 == 0
    rng = random.Random(seed)
    target = TcpServer(http(lambda _: page(status=204, content_type="")))
    with tempfile.TemporaryDirectory() as name, target:
        scene = Scene(Path(name), target.port)
        try:
            scene.start()
            return _run(scene, rng, times, audit_every)
        finally:
            scene.close()


def _run(scene: Scene, rng: random.Random, times: int, audit_every: int) -> bool:
    tally = _Tally()
    ordered = list(product(STEPS, VICTIMS))
    rng.shuffle(ordered)
    began_s = time.monotonic()
    for number in range(1, times + 1):
        at_rest = number % audit_every == 0 or number == times
        try:
            if number % 2:
                step, victim = ordered[(number + 1) // 2 % len(ordered)]
                if step == HELLO_SENT and not at_rest:
                    # A hello begins a connection: it is ordered while the broker is dead.
                    meanwhile = partial(scene.order, number + 1, step, victim, 1)
                    _kill_any(scene, rng, tally, "broker", meanwhile)
                elif number % audit_every == OUTAGE_AT:
                    away = rng.choice(("broker", "collector"))
                    _kill_any(scene, rng, tally, away, partial(time.sleep, OUTAGE_S))
                else:
                    _kill_any(scene, rng, tally, VICTIMS[number // 2 % len(VICTIMS)])
            else:
                step, victim = ordered[number // 2 % len(ordered)]
                if step != HELLO_SENT:
                    scene.order(number, step, victim, rng.randint(1, 6))
                tally.add(step, victim, reached=scene.await_order(victim))
            wrong = scene.rest_and_audit() if at_rest else ""
        except DrillError as error:
            wrong = str(error)
        if wrong:
            print(f"  after kill {number}: {wrong}")
            return False
        if at_rest and (number % (5 * audit_every) == 0 or number == times):
            print(f"  {number:,} kills in {time.monotonic() - began_s:.0f} s: {scene.summary}", flush=True)
    tally.show()
    return True


def _kill_any(
    scene: Scene,
    rng: random.Random,
    tally: "_Tally",
    victim: str,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Kill at a random moment."""
    time.sleep(rng.random() * MOMENT_S)
    scene.kill(victim, meanwhile)
    tally.at_random[victim] += 1


class _Tally:
    """How many were killed where, and how many orders reached their step."""

    def __init__(self) -> None:
        self.at_random: Counter[str] = Counter()
        self._given: Counter[str] = Counter()
        self._reached: Counter[str] = Counter()
        self._at_step: Counter[str] = Counter()

    def add(self, step: str, victim: str, *, reached: bool) -> None:
        """Count a kill that was ordered."""
        self._given[step] += 1
        self._reached[step] += reached
        (self._at_step if reached else self.at_random)[victim] += 1

    def show(self) -> None:
        """Print it."""
        given, reached = self._given.total(), self._reached.total()
        print(f"  {reached:,} of {given:,} orders reached their step:")
        for step in STEPS:
            print(f"  {self._reached[step]:>7,} of {self._given[step]:>3,}   {step}")
        for victim in VICTIMS:
            print(
                f"  {victim:<9} {self._at_step[victim]:>4,} × at a step, {self.at_random[victim]:>4,} × at random"
            )
