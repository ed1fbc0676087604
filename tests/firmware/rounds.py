"""Rounds as a story would tell them: who answered, who did not, and when. For the ladder's and verdict's tests."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from firmware.judgement.facts import Past
from firmware.judgement.ladder import Ladder, RungProgress, RungState
from firmware.judgement.observation import Observation
from firmware.model.failures import Failure
from firmware.model.record import Rung, Verdict, Zone

S = 1_000_000_000
SILENCE_S = 20
"""How long a connection attempt waits."""

ZONES = {
    Rung.DOMESTIC: Zone.DOMESTIC,
    Rung.INTERNATIONAL: Zone.INTERNATIONAL,
    Rung.PLATFORMS: Zone.INTERNATIONAL,
}
TESTS = {Rung.LINK: "link", Rung.ADDRESS: "address", Rung.GATEWAY: "ping", Rung.RESOLVER: "dns"}
OPERATIONS = {"resolve", "connect", "tls_handshake", "read"}


def seen(
    name: str,
    rung: Rung,
    failure: str | None = None,
    *,
    operation: str = "connect",
    test: str | None = None,
    target: str | None = None,
    network: str | None = None,
    at_s: float = 0.1,
    took_s: float | None = None,
    status: int | None = None,
) -> Observation:
    """Return one observation; a time-out takes as long as one takes, anything else a tenth of a second."""
    far = rung in ZONES
    took = took_s if took_s is not None else (SILENCE_S if failure == Failure.TIMEOUT else 0.1)
    return Observation(
        test=test or TESTS.get(rung, "tls"),
        rung=rung,
        zone=ZONES.get(rung, Zone.LOCAL),
        target=target or (f"{name}.example.org:443" if far else f"@{name}"),
        target_name=name,
        network=(f"AS-{name}" if far else "") if network is None else network,
        failure=failure,
        failed_operation=operation if failure else None,
        best_ns=None if failure else int(took * S),
        start_ns=int(at_s * S),
        end_ns=int((at_s + took) * S),
        http_status=status,
        routes=frozenset({4}) if rung is Rung.ADDRESS else None,
        next_hops=frozenset({4}) if rung is Rung.ADDRESS else None,
    )


def near(*, at_s: float = 0.0, **failures: str | None) -> list[Observation]:
    """Return the host's own rungs and the resolver: all well but for `link=…`, `gateway=…` and so on."""
    rungs = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER)
    return [seen(rung, rung, failures.get(rung), at_s=at_s) for rung in rungs]


def many(
    rung: Rung,
    count: int,
    failure: str | None = None,
    *,
    first: int = 1,
    operation: str = "connect",
    at_s: float = 0.1,
) -> list[Observation]:
    """Return `count` targets of a rung in unrelated networks, all alike, numbered from `first`."""
    return [
        seen(f"{rung}-{number}", rung, failure, operation=operation, at_s=at_s)
        for number in range(first, first + count)
    ]


def everything_works() -> list[Observation]:
    """Return an ordinary round with domestic anchors."""
    return [*near(), *many(Rung.DOMESTIC, 4), *many(Rung.INTERNATIONAL, 5), *many(Rung.PLATFORMS, 4)]


def cut(*, confirmed: bool = True, failure: str = Failure.TIMEOUT) -> list[Observation]:
    """Return a round in which the outside is gone, and the inside was asked again after it fell silent."""
    observations = [
        *near(),
        *many(Rung.DOMESTIC, 4),
        *many(Rung.INTERNATIONAL, 5, failure),
        *many(Rung.PLATFORMS, 4, failure),
    ]
    return [*observations, *(again(observations) if confirmed else ())]


def dark(*, confirmed: bool = True) -> list[Observation]:
    """Return a round in which nothing beyond the router answers."""
    observations = [
        *near(resolver=Failure.TIMEOUT),
        *many(Rung.DOMESTIC, 4, Failure.TIMEOUT),
        *many(Rung.INTERNATIONAL, 5, Failure.TIMEOUT),
        *many(Rung.PLATFORMS, 4, Failure.TIMEOUT),
    ]
    return [*observations, *(again(observations) if confirmed else ())]


def again(observations: Iterable[Observation], **failures: str | None) -> list[Observation]:
    """Return what the confirmation at the round's end sees: the near rungs and the anchors, as before or `failures`."""
    asked = [one for one in observations if one.rung not in (Rung.INTERNATIONAL, Rung.PLATFORMS)]
    return [
        replace(
            one,
            failure=failures.get(str(one.rung), one.failure),
            failed_operation="connect" if failures.get(str(one.rung), one.failure) else None,
            start_ns=22 * S,
            end_ns=22 * S
            + (7 * S if failures.get(str(one.rung), one.failure) == Failure.TIMEOUT else S // 10),
        )
        for one in asked
    ]


def past(
    rule_id: str, *, age_s: float = 30, reached: Sequence[Rung] = tuple(Rung), verdict: str = "ok"
) -> Past:
    """Return a round before this one, in which the rungs of `reached` were reached and the others failed."""
    rungs = tuple(
        RungState(
            rung=rung,
            state=RungProgress.REACHED if rung in reached else RungProgress.FAILED,
            reached=int(rung in reached),
            tried=1,
            waiting=0,
            best_ns=None,
            failures=(),
        )
        for rung in Rung
    )
    return Past(verdict=Verdict(verdict=verdict, rule_id=rule_id), ladder=Ladder(rungs=rungs), age_s=age_s)
