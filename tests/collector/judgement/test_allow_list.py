"""An allow-list as the country's verdict: who must say it, and what it is not."""

from dataclasses import replace

import pytest

from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.scope import judge_scope
from firmware.model.record import Verdict
from tests.collector.judgement.scopes import UP, country, one
from tests.english import lines


def saying(word: str, *, count: int, networks: int, of: int = 12) -> list[DeviceState]:
    """Return devices of which `count`, in so many networks, say a word, and the others, in networks beside, are well."""
    return [
        replace(
            one(number, "tci", DeviceStanding.UNCLEAR if number < count else DeviceStanding.WELL),
            network=f"AS{number % networks}" if number < count else f"AS{100 + number % 5}",
            word=word if number < count else "ok",
        )
        for number in range(of)
    ]


def judged(*, count: int, networks: int, of: int = 12) -> Verdict:
    return judge_scope(saying("allowlisted", count=count, networks=networks, of=of), UP)


def test_three_networks_make_it_the_country_s_whatever_others_are() -> None:
    said = judged(count=3, networks=3)
    assert (said.verdict, said.rule_id) == ("allowlisted", "allow-list-across-networks")
    assert "only a few networks abroad pass for 3 of 12 devices that tell, in AS0, AS1, AS2" in lines(said)


@pytest.mark.parametrize(("count", "networks"), [(2, 2), (3, 2), (4, 1)])
def test_fewer_devices_or_networks_accuse_nobody_and_are_said(count: int, networks: int) -> None:
    said = judged(count=count, networks=networks)
    assert said.verdict in ("ok", "inconclusive")
    assert any(line.startswith(f"only a few networks abroad pass for {count} of 12") for line in lines(said))


def test_all_of_two_networks_where_there_are_no_others() -> None:
    assert judged(count=12, networks=2).verdict == "allowlisted"
    assert judged(count=12, networks=1).verdict == "inconclusive"


def test_all_mobile_devices_while_the_fixed_are_well() -> None:
    mobile = [
        replace(device, state=DeviceStanding.UNCLEAR, word="allowlisted")
        if device.kind == "mobile"
        else replace(device, word="ok")
        for device in country()
    ]
    said = judge_scope(mobile, UP)
    assert said.verdict == "allowlisted"
    assert "mobile: so for all 8 devices that tell" in lines(said)
    one_is_well = [replace(mobile[8], state=DeviceStanding.WELL, word="ok"), *mobile[:8], *mobile[9:]]
    assert judge_scope(one_is_well, UP).verdict == "inconclusive"


def test_a_cut_of_most_goes_before_it() -> None:
    made = [
        replace(device, word="international_cut")
        for device in country(tci=DeviceStanding.LOST, mci=DeviceStanding.LOST, irancell=DeviceStanding.LOST)
    ]
    listed = [
        replace(device, state=DeviceStanding.UNCLEAR, word="allowlisted") if number in (0, 4, 8) else device
        for number, device in enumerate(made)
        if device.network != "shatel" or number == 4
    ]
    assert judge_scope(listed, UP).verdict == "international_cut"


def test_nobody_is_accused_while_the_vantage_itself_reaches_nothing() -> None:
    made = saying("allowlisted", count=6, networks=3)
    assert judge_scope(made, replace(UP, connected=False)).verdict == "inconclusive"


def test_devices_that_are_not_heard_any_more_say_nothing() -> None:
    made = [
        replace(device, state=DeviceStanding.SILENT) if device.word == "allowlisted" else device
        for device in saying("allowlisted", count=3, networks=3)
    ]
    assert judge_scope(made, replace(UP, connected=None)).verdict != "allowlisted"
