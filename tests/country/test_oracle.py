"""The oracle: what may be said of a truth, from the truth alone."""

import pytest

from tests.country.oracle import Mark, country_mark, device_mark, site_mark
from tests.country.six_homes import ALL, HOMES
from tests.country.truth import Ill, Scope, Truth, Wrong

MOBILES = frozenset({2, 3, 4, 5})


def truth(*wrongs: Wrong) -> Truth:
    return Truth(seed=1, hours=24, homes=HOMES, wrongs=wrongs)


def wrong(ill: Ill, homes: frozenset[int] = ALL, *hosts: str, scope: Scope = Scope.NATION) -> Wrong:
    return Wrong(ill=ill, since_s=10_000, until_s=20_000, homes=homes, hosts=frozenset(hosts), scope=scope)


@pytest.mark.parametrize(
    ("ill", "word", "mark"),
    [
        (Ill.CUT, "international_cut", Mark.RIGHT),
        (Ill.CUT, "ok", Mark.COMFORTS),
        (Ill.CUT, "inconclusive", Mark.HONEST),
        (Ill.CUT, "blocked_tls", Mark.WRONG_KIND),
        (Ill.CABLE, "blocked_tls", Mark.ACCUSES),
        (Ill.SHUTDOWN, "isp_or_wider_outage", Mark.RIGHT),
        (Ill.PROVIDER_DARK, "international_cut", Mark.ACCUSES),
        (Ill.LINK_DOWN, "local_fault", Mark.RIGHT),
        (Ill.LINK_DOWN, "isp_or_wider_outage", Mark.ACCUSES),
        (Ill.MTU_HOLE, "protocol_filtering", Mark.ACCUSES),
        (Ill.MTU_HOLE, "inconclusive", Mark.HONEST),
        (Ill.LINE_WORSE, "congestion", Mark.RIGHT),
        (Ill.LINE_FULL, "congestion", Mark.RIGHT),
        (Ill.LINE_FULL, "ok", Mark.RIGHT),
        (Ill.LINE_FULL, "inconclusive", Mark.HONEST),
        (Ill.LINE_FULL, "local_fault", Mark.MISTAKEN),
        (Ill.LINE_FULL, "isp_or_wider_outage", Mark.ACCUSES),
        (Ill.LINE_FULL, "protocol_filtering", Mark.ACCUSES),
        (Ill.ALLOW_LIST, "ok", Mark.COMFORTS),
        (Ill.TLS_FILTERED, "protocol_filtering", Mark.RIGHT),
        (Ill.COLLECTOR_DOWN, "ok", Mark.RIGHT),
    ],
)
def test_what_a_device_may_say(ill: Ill, word: str, mark: Mark) -> None:
    assert device_mark(truth(wrong(ill)), 0, word, 12_000, 12_030) is mark


@pytest.mark.parametrize(
    ("spared", "home", "mark"),
    [
        ("www.gnu.org", 0, Mark.RIGHT),
        ("host-iana-v6", 1, Mark.RIGHT),
        ("host-iana-v6", 0, Mark.WRONG_KIND),
    ],
)
def test_where_a_cut_leaves_a_network_that_a_home_can_ask_few_pass(
    spared: str, home: int, mark: Mark
) -> None:
    """Home 1 has both families, home 0 IPv4 alone; either way it is a cut."""
    there = truth(wrong(Ill.CUT, ALL, spared))
    assert device_mark(there, home, "allowlisted", 12_000, 12_030) is mark
    assert device_mark(there, home, "international_cut", 12_000, 12_030) is Mark.RIGHT


@pytest.mark.parametrize(
    ("listed", "home", "mark"),
    [
        ("www.gnu.org", 0, Mark.WRONG_KIND),
        ("host-iana-v6", 1, Mark.WRONG_KIND),
        ("host-iana-v6", 0, Mark.RIGHT),
        ("time.nist.gov", 1, Mark.RIGHT),
    ],
)
def test_an_allow_list_of_nothing_that_a_home_can_ask_is_a_cut_for_it(
    listed: str, home: int, mark: Mark
) -> None:
    """Home 1 has both families, home 0 IPv4 alone; a clock's answer proves nothing to anybody."""
    there = truth(wrong(Ill.ALLOW_LIST, ALL, listed))
    assert device_mark(there, home, "international_cut", 12_000, 12_030) is mark
    assert device_mark(there, home, "allowlisted", 12_000, 12_030) is Mark.RIGHT


def test_a_round_that_something_began_in_may_say_either() -> None:
    there = truth(wrong(Ill.CUT))
    assert device_mark(there, 0, "ok", 9_980, 10_010) is Mark.RIGHT
    assert device_mark(there, 0, "international_cut", 9_980, 10_010) is Mark.RIGHT
    assert device_mark(there, 0, "international_cut", 9_960, 9_990) is Mark.ACCUSES


def test_what_is_cut_of_one_family_is_not_cut_for_a_home_with_both() -> None:
    there = truth(wrong(Ill.FAMILY_CUT))
    assert device_mark(there, 0, "international_cut", 12_000, 12_030) is Mark.RIGHT
    assert device_mark(there, 1, "international_cut", 12_000, 12_030) is Mark.WRONG_KIND
    assert device_mark(there, 1, "ok", 12_000, 12_030) is Mark.COMFORTS


def test_of_a_platform_that_is_blocked_its_own_word_alone_is_right() -> None:
    there = truth(wrong(Ill.BLOCKED_TLS, ALL, "x.com"))
    times = {"since_s": 12_000.0, "until_s": 12_030.0}
    assert site_mark(there, 0, "x.com", "blocked_tls", **times) is Mark.RIGHT
    assert site_mark(there, 0, "x.com", "blocked_dns", **times) is Mark.WRONG_KIND
    assert site_mark(there, 0, "www.youtube.com", "blocked_tls", **times) is Mark.ACCUSES
    assert device_mark(there, 0, "ok", 12_000, 12_030) is Mark.MUTE


def test_no_platform_is_blocked_where_a_home_fills_its_line() -> None:
    there = truth(wrong(Ill.LINE_FULL))
    for word in ("blocked_dns", "blocked_tcp", "blocked_tls", "blocked_http", "throttled_targeted"):
        assert site_mark(there, 0, "x.com", word, since_s=12_000.0, until_s=12_030.0) is Mark.ACCUSES


def test_a_server_that_is_down_is_nobodys_block() -> None:
    there = truth(wrong(Ill.SERVER_RESETS_NAME, frozenset(), "x.com"))
    times = {"since_s": 12_000.0, "until_s": 12_030.0}
    assert site_mark(there, 0, "x.com", "service_down", **times) is Mark.RIGHT
    assert site_mark(there, 0, "x.com", "blocked_tls", **times) is Mark.ACCUSES


@pytest.mark.parametrize(
    ("given", "word", "mark"),
    [
        (wrong(Ill.CUT), "total_shutdown", Mark.RIGHT),
        (wrong(Ill.CUT), "ok", Mark.COMFORTS),
        (wrong(Ill.CUT), "mobile_shutdown", Mark.WRONG_KIND),
        (wrong(Ill.CUT), "allowlisted", Mark.WRONG_KIND),
        (wrong(Ill.CUT, ALL, "www.gnu.org"), "allowlisted", Mark.RIGHT),
        (wrong(Ill.CUT, frozenset({0, 1}), "www.gnu.org"), "allowlisted", Mark.WRONG_KIND),
        (wrong(Ill.CUT, MOBILES, scope=Scope.MOBILE), "mobile_shutdown", Mark.RIGHT),
        (wrong(Ill.CUT, frozenset({0, 1}), scope=Scope.PROVIDER), "isp_outage", Mark.RIGHT),
        (wrong(Ill.POWER_CUT, frozenset({0, 2, 4}), scope=Scope.REGION), "regional_shutdown", Mark.ACCUSES),
        (wrong(Ill.POWER_CUT), "total_shutdown", Mark.ACCUSES),
        (wrong(Ill.LINE_FULL), "ok", Mark.RIGHT),
        (wrong(Ill.LINE_FULL), "inconclusive", Mark.HONEST),
        (wrong(Ill.LINE_FULL), "partial_shutdown", Mark.ACCUSES),
        (wrong(Ill.LINE_FULL, frozenset({0, 1}), scope=Scope.PROVIDER), "isp_outage", Mark.ACCUSES),
        (wrong(Ill.COLLECTOR_DOWN), "collector_fault", Mark.RIGHT),
        (wrong(Ill.COLLECTOR_DOWN), "total_shutdown", Mark.ACCUSES),
        (wrong(Ill.PROVIDER_DARK, frozenset({0, 1}), scope=Scope.PROVIDER), "total_shutdown", Mark.ACCUSES),
        (wrong(Ill.CUT, frozenset({0, 2, 4}), scope=Scope.HOMES), "ok", Mark.COMFORTS),
        (wrong(Ill.CUT, frozenset({0}), scope=Scope.HOMES), "ok", Mark.MISTAKEN),
        (wrong(Ill.CUT, frozenset({2, 3}), scope=Scope.PROVIDER), "ok", Mark.MISTAKEN),
        (wrong(Ill.PROVIDER_DARK, MOBILES, scope=Scope.MOBILE), "ok", Mark.COMFORTS),
    ],
)
def test_what_a_country_may_be_called(given: Wrong, word: str, mark: Mark) -> None:
    found = country_mark(truth(given), word, 15_000)
    assert found is (Mark.RIGHT if mark is Mark.MISTAKEN else mark)


def test_a_country_may_be_called_what_it_was_a_quarter_of_an_hour_ago_and_not_what_it_will_be() -> None:
    there = truth(wrong(Ill.CUT))
    assert country_mark(there, "ok", 10_600) is Mark.RIGHT
    assert country_mark(there, "total_shutdown", 20_600) is Mark.RIGHT
    assert country_mark(there, "total_shutdown", 21_000) is Mark.ACCUSES
    assert country_mark(there, "total_shutdown", 9_990) is Mark.ACCUSES
