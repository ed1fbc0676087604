"""Path MTU over real routers: a router that says so, one that is silenced, one's own link, and nobody there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.measurements.pmtu import Pmtu
from firmware.model.task import OptionValue, result_to_json
from firmware.net.targets import TargetError
from firmware.paths.mtu_search import MtuSearch
from firmware.worker.single import measure_once
from tests import namespaces
from tests.chains import Chain, chain


def pmtu(target: str, timeout_s: float = 60, **options: OptionValue) -> dict[str, Any]:
    return result_to_json(measure_once("pmtu", target, options, timeout_s))


def gist(result: dict[str, Any]) -> list[Any]:
    detail = result["detail"]
    return [result["failure"], *(detail.get(key) for key in ("method", "mtu", "below", "black_hole", "end"))]


def narrow() -> Chain:
    """Make a chain whose third link takes 1400 bytes."""
    there = chain()
    namespaces.open_ping()
    namespaces.ip("link set eth1 mtu 1400", node="r2")
    namespaces.ip("link set eth0 mtu 1400", node="r3")
    return there


def a_router_says_so() -> dict[str, Any]:
    there = chain()
    namespaces.open_ping()
    found: dict[str, Any] = {"wide": gist(pmtu(there.server4))}
    namespaces.ip("link set eth1 mtu 1400", node="r2")
    namespaces.ip("link set eth0 mtu 1400", node="r3")
    for target in (there.server4, there.server6):
        for method in ("udp", "icmp"):
            result = pmtu(target, method=method)
            detail = result["detail"]
            found[f"{method} {detail['family']}"] = [
                *gist(result),
                detail["hints"],
                detail["tried"],
                detail["kernel_mtu"],
            ]
            assert "icmp" not in detail
            assert result["phases"]["rtt"]["stamp"] == "snd"
    namespaces.ip("link set eth0 mtu 1300")
    own = pmtu(there.server4)
    found["own link"] = [*gist(own), own["detail"]["hints"]]
    return found


@pytest.mark.namespace
def test_what_a_router_says_is_tried_and_found_true() -> None:
    found = namespaces.call(a_router_says_so)
    assert found["wide"] == [None, "udp", 1500, None, False, "found"]
    for family, router in ((4, "@cgnat"), (6, "@near")):
        for method in ("udp", "icmp"):
            assert found[f"{method} {family}"] == [
                *(None, method, 1400, 1401, False, "found"),
                [{"mtu": 1400, "from": router}],
                [[1500, "too_big"], [1400, "passed"], [1401, "too_big"]],
                1400,
            ]
    assert found["own link"][:3] == [None, "udp", 1300]
    assert found["own link"][-1][0] == {"mtu": 1300, "from": "@self"}


def nobody_says_so() -> dict[str, Any]:
    there = narrow()
    for family in ("-4", "-6"):
        namespaces.ip(f"{family} rule add pref 1 iif lo blackhole", node="r2")  # it sends nothing of its own
    found: dict[str, Any] = {}
    for target in (there.server4, there.server6):
        for method in ("udp", "icmp"):
            result = pmtu(target, method=method)
            found[f"{method} {result['detail']['family']}"] = gist(result)
            assert result["bytes_up"] + result["bytes_down"] <= 40_000
    bounded = pmtu(there.server4, max_bytes=3000)
    found["bounded"] = [*gist(bounded), bounded["bytes_up"] <= 3000]
    return found


@pytest.mark.namespace
def test_a_black_hole_is_found_by_halves_within_its_bytes() -> None:
    found = namespaces.call(nobody_says_so)
    for method in ("udp", "icmp"):
        for family in (4, 6):
            assert found[f"{method} {family}"] == [None, method, 1400, 1401, True, "found"]
    assert found["bounded"] == ["generic_timeout_error", "udp", None, None, False, "bytes", True]


def answers_seldom() -> list[Any]:
    """Have the far end answer as Linux does: six in a burst, then one a second."""
    there = narrow()
    with namespaces.inside(there.server):
        namespaces.sysctl("net.ipv4.icmp_ratelimit", 1000)
    return gist(pmtu(there.server4, method="udp"))


@pytest.mark.namespace
def test_a_host_that_answers_seldom_is_no_black_hole() -> None:
    assert namespaces.call(answers_seldom) == [None, "udp", 1400, 1401, False, "found"]


def nobody_there() -> dict[str, Any]:
    there = chain(1)
    found = {"forbidden": gist(pmtu(there.server4, method="icmp", timeout_ms=200))}
    namespaces.ip("rule add ipproto udp blackhole", node="r1")
    udp = pmtu(there.server4, timeout_ms=200)
    found["no icmp"] = [*gist(udp), udp["detail"]["not_used"]]
    namespaces.open_ping()
    icmp = pmtu(there.server4, timeout_ms=200)
    found["by icmp"] = [*gist(icmp), icmp["detail"]["not_used"]]
    namespaces.ip("route add prohibit 203.0.113.0/24", node="r1")
    found["prohibited"] = gist(pmtu("203.0.113.9", timeout_ms=200))
    return found


@pytest.mark.namespace
def test_where_udp_is_not_answered_icmp_is_asked_and_silence_is_said() -> None:
    found = namespaces.call(nobody_there)
    assert found["forbidden"] == ["permission_denied", None, None, None, None, None]
    silent = "generic_timeout_error"
    assert found["no icmp"] == [silent, "udp", None, None, False, "unanswered", {"icmp": "permission_denied"}]
    assert found["by icmp"] == [None, "icmp", 1500, None, False, "found", {"udp": silent}]
    assert found["prohibited"] == ["administratively_prohibited", "icmp", None, None, False, "unanswered"]


@given(
    mtu=st.integers(60, 9000),
    ceiling=st.integers(61, 9000),
    lies=st.lists(st.integers(0, 10_000), max_size=20),
    honest=st.booleans(),
)
def test_the_search_finds_every_mtu_whatever_routers_say(
    mtu: int, ceiling: int, lies: list[int], *, honest: bool
) -> None:
    search = MtuSearch(good=60, ceiling=ceiling)
    asked = 0
    while (size := search.next_size()) is not None:
        asked += 1
        if size <= mtu:
            search.passed(size)
        else:
            search.stopped(size, mtu if honest else (lies.pop() if lies else 0))
        assert search.good <= mtu
    assert search.mtu == min(mtu, ceiling)
    assert asked <= 16 + 20 * (not honest)


def test_an_honest_router_saves_the_halves() -> None:
    search = MtuSearch(good=60, ceiling=1500)
    search.stopped(1500, 1400)
    assert search.next_size() == 1400
    search.passed(1400)
    assert search.next_size() == 1401


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("", {}, "allowed is a host name"),
        ("::1", {"max_size": 99}, "option max_size: found 99"),
        ("::1", {"method": "tcp"}, "one of any, udp, icmp"),
        ("::1", {"port": 1}, "found option 'port'; the options of pmtu are: family, max_bytes"),
    ],
)
def test_what_cannot_be_searched(target: str, options: dict[str, OptionValue], told: str) -> None:
    with pytest.raises(TargetError) as caught:
        Pmtu.parse(target, options)
    assert told in str(caught.value)
