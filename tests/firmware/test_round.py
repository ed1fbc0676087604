"""Whole rounds with real probes against real servers on loopback: from the plan to the verdict.

The plans here leave out the link and the address, which are this machine's own. Domestic targets listen on
127.0.1.x, international ones on 127.0.2.x, platforms on 127.0.3.x, all with certificates of a test authority.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from firmware.judgement.ladder import Ladder, RungProgress, climb, confirmation_tasks, round_tasks
from firmware.judgement.observation import Observation, from_result, owner_of
from firmware.judgement.round.verdict import decide
from firmware.model.record import Rung, Verdict, Zone
from firmware.model.task import Task
from firmware.net.loop import Loop, boottime_ns
from firmware.plans.load import Cadence, Network, Plan, PlannedTarget
from firmware.worker.runner import run_task
from tests.english import lines
from tests.servers.dns import DnsServer, zone
from tests.servers.http import http, page, redirect
from tests.servers.tcp import Behaviour, TcpServer, drain, reset, reset_after_first_bytes
from tests.servers.tls import Authority, over_tls

FAR = {Rung.DOMESTIC: "127.0.1", Rung.INTERNATIONAL: "127.0.2", Rung.PLATFORMS: "127.0.3"}


class Country:
    """A small country on loopback. `answers` is what each rung's targets do; what is not there is not there."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self._servers = servers
        self.authority = Authority(folder)
        self._targets: list[PlannedTarget] = []

    def near(self) -> None:
        """Add a router and a resolver that answer."""
        router = self._servers.enter_context(TcpServer(drain))
        resolver = self._servers.enter_context(DnsServer(zone({"www.example.org": ("93.184.215.14",)})))
        self._add("gateway", Rung.GATEWAY, "tcp", f"{router.address}:{router.port}")
        self._add("resolver", Rung.RESOLVER, "dns", "www.example.org", resolver=resolver.place)

    def far(self, rung: Rung, count: int, behaviour: Behaviour | None = None) -> None:
        """Add `count` TLS targets in networks of their own; without a `behaviour` they prove themselves."""
        for number in range(1, count + 1):
            address = f"{FAR[rung]}.{number}"
            honest = over_tls(self.authority.server_context(f"{rung}.example.org"))
            server = self._servers.enter_context(TcpServer(behaviour or honest, address=address))
            sni = f"{rung}.example.org"
            self._add(f"{rung}-{number}", rung, "tls", f"{address}:{server.port}", sni=sni)

    def portal_check(self, status: int) -> None:
        """Add a plain-HTTP check that is answered with `status`; 204 is the true answer."""
        answer = redirect("http://sign-in.example.org/") if status == 302 else page(status=status)
        server = self._servers.enter_context(TcpServer(http(lambda _request: answer), address="127.0.2.99"))
        target = f"http://127.0.2.99:{server.port}/generate_204"
        self._add("portal-check", Rung.INTERNATIONAL, "http", target, expect_status=204)

    def round(self) -> tuple[Ladder, Verdict]:
        """Measure one round as a device does, confirmation included."""
        plan = Plan(
            file="",
            country="zz",
            name="loopback",
            revised=dt.date(2026, 11, 21),
            cadence=Cadence(calm_s=120, transition_s=30, budget_bytes_per_day=1),
            targets=tuple(self._targets),
        )
        loop = Loop()
        try:
            observations = loop.run(_measure(loop, plan))
        finally:
            loop.close()
        return climb(plan, observations, ended=True), decide(observations.values())

    def _add(self, name: str, rung: Rung, test: str, target: str, **options: str | int) -> None:
        number = 64_512 + len(self._targets)
        self._targets.append(
            PlannedTarget(
                name=name,
                rung=rung,
                zone=Zone.DOMESTIC if rung is Rung.DOMESTIC else Zone.INTERNATIONAL,
                test=test,
                target=target,
                options=options,
                network=Network(asn=number, name=name) if rung in FAR else None,
            )
        )


async def _measure(loop: Loop, plan: Plan) -> dict[str, Observation]:
    start_ns = boottime_ns()
    observations: dict[str, Observation] = {}
    confirmed = False
    waiting = list(round_tasks(plan, 1, start_ns))

    async def observe(task: Task) -> None:
        result = await run_task(loop, task)
        network = owner_of(plan, task.target_name)
        observations[task.task_id] = from_result(task, result, network=network)

    while waiting:
        jobs = [loop.spawn(observe(task)) for task in waiting]
        waiting = []
        for job in jobs:
            await job
            if not confirmed:
                waiting += confirmation_tasks(plan, 1, start_ns, observations.values(), boottime_ns())
                confirmed = bool(waiting)
    return observations


@pytest.fixture
def country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Country]:
    with ExitStack() as servers:
        made = Country(tmp_path, servers)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority.trusted))
        made.near()
        yield made


def test_everything_answers(country: Country) -> None:
    for rung in FAR:
        country.far(rung, 3)
    country.portal_check(204)
    ladder, verdict = country.round()
    assert (verdict.verdict, verdict.rule_id) == ("ok", "controls-reached")
    reached = {state.rung for state in ladder.rungs if state.state is RungProgress.REACHED}
    assert reached == set(Rung) - {Rung.LINK, Rung.ADDRESS}
    assert all(state.best_ns for state in ladder.rungs if state.rung in reached)


@pytest.mark.parametrize("censor", [reset, reset_after_first_bytes], ids=lambda censor: censor.__name__)
def test_the_outside_is_cut_and_the_inside_works(country: Country, censor: Behaviour) -> None:
    country.far(Rung.DOMESTIC, 3)
    country.far(Rung.INTERNATIONAL, 4, censor)
    country.far(Rung.PLATFORMS, 2, censor)
    ladder, verdict = country.round()
    assert (verdict.verdict, verdict.rule_id) == ("international_cut", "international-cut")
    assert ladder.rung(Rung.DOMESTIC).state is RungProgress.REACHED
    assert ladder.rung(Rung.INTERNATIONAL).state is RungProgress.FAILED
    unreached = [one for one in verdict.evidence if one.code.startswith("not-reached")]
    assert {one.parameters["failure"] for one in unreached} == {"connection_reset"}
    assert any("connection_reset" in line for line in lines(verdict))


def test_nothing_beyond_the_router_answers(country: Country) -> None:
    for rung in FAR:
        country.far(rung, 3, reset)
    _, verdict = country.round()
    assert (verdict.verdict, verdict.rule_id) == ("isp_or_wider_outage", "isp-or-wider-outage")


def test_a_sign_in_page(country: Country) -> None:
    country.far(Rung.DOMESTIC, 3, reset)
    country.far(Rung.INTERNATIONAL, 3, reset)
    country.portal_check(302)
    assert country.round()[1].verdict == "captive_portal"


def test_a_block_page_is_no_sign_in_page(country: Country) -> None:
    country.far(Rung.DOMESTIC, 3)
    country.far(Rung.INTERNATIONAL, 3, reset)
    country.portal_check(403)
    assert country.round()[1].verdict == "international_cut"


def test_blocked_platforms_are_named_and_are_no_outage(country: Country) -> None:
    country.far(Rung.DOMESTIC, 3)
    country.far(Rung.INTERNATIONAL, 3)
    country.far(Rung.PLATFORMS, 3, reset_after_first_bytes)
    _, verdict = country.round()
    assert verdict.verdict == "ok"
    assert sum("not reached: tls_handshake: connection_reset" in line for line in lines(verdict)) == 3


def test_somebody_who_answers_for_everyone_is_found_out(country: Country, tmp_path: Path) -> None:
    forged = Authority(tmp_path, "Somebody").server_context("international.example.org")
    country.far(Rung.INTERNATIONAL, 4, over_tls(forged))
    _, verdict = country.round()
    assert (verdict.verdict, verdict.rule_id) == ("inconclusive", "certificates-refused")
