"""A part of a country: what is partly shut down, what a power cut would look like too, and when a country is not well.

What is true is built into each country; each was `inconclusive`, `ok` or an accusation by the rules before.
"""

from dataclasses import replace

import pytest
from hypothesis import given

from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.scope import judge_scope
from tests.collector.judgement.scopes import NOW, UP, devices, one
from tests.english import lines

LOST, WELL, SILENT = DeviceStanding.LOST, DeviceStanding.WELL, DeviceStanding.SILENT
NETWORKS = ("tci", "shatel", "mci", "irancell")


def at(
    number: int,
    network: str,
    region: str,
    state: DeviceStanding,
    *,
    kind: str = "fixed",
    since_s: float = -600.0,
) -> DeviceState:
    """Return a device at a place; one that is lost says that the way abroad is cut."""
    made = one(number, "tci", state, since_s=since_s)
    word = "international_cut" if state is LOST else "ok"
    return replace(made, network=network, kind=kind, region=region, word=word, told_utc_s=NOW)


def provinces(
    state: DeviceStanding, *dark: str, since_s: dict[str, float] | None = None
) -> list[DeviceState]:
    """Return five provinces with four devices each, in four networks; those of `dark` are in `state`."""
    return [
        at(
            4 * place + number,
            NETWORKS[number],
            region,
            state if region in dark else WELL,
            since_s=(since_s or {}).get(region, -600.0),
        )
        for place, region in enumerate(("tehran", "isfahan", "fars", "yazd", "qom"))
        for number in range(4)
    ]


class TestPartialShutdown:
    """A share of the country is dark and the rest stays on."""

    @pytest.mark.parametrize("state", [LOST, SILENT])
    def test_a_quarter_stays_on(self, state: DeviceStanding) -> None:
        made = [
            at(
                number,
                NETWORKS[number % 4],
                ("tehran", "fars", "yazd")[number % 3],
                WELL if number < 4 else state,
            )
            for number in range(16)
        ]
        said = judge_scope(made, UP)
        assert (said.verdict, said.rule_id) == ("partial_shutdown", "most-lost-some-stay-on")
        assert any(line.startswith("75") for line in lines(said)), lines(said)

    def test_in_the_first_minutes_of_a_cut_those_who_have_yet_to_tell_do_not_stay_on(self) -> None:
        made = [
            at(
                number,
                NETWORKS[number % 4],
                ("tehran", "fars", "yazd")[number % 3],
                WELL if number < 4 else LOST,
            )
            for number in range(16)
        ]
        early = [replace(device, told_utc_s=NOW - 700) if device.state is WELL else device for device in made]
        assert judge_scope(early, UP).verdict == "inconclusive"

    @pytest.mark.parametrize("state", [LOST, SILENT])
    def test_two_of_five_provinces(self, state: DeviceStanding) -> None:
        said = judge_scope(provinces(state, "fars", "yazd"), UP)
        assert (said.verdict, said.rule_id) == ("partial_shutdown", "groups-lost-together")

    def test_two_provinces_that_fell_silent_an_hour_apart_may_be_two_power_cuts(self) -> None:
        made = provinces(SILENT, "fars", "yazd", since_s={"fars": -4200.0})
        assert judge_scope(made, UP).verdict == "inconclusive"

    def test_a_power_cut_and_two_homes_elsewhere_that_failed_by_themselves_are_no_order(self) -> None:
        made = [
            device
            for device in provinces(SILENT, "fars", "yazd")
            if device.region != "yazd" or device.network in NETWORKS[:2]
        ]
        assert sum(device.region == "yazd" for device in made) == 2
        assert judge_scope(made, UP).verdict == "inconclusive"
        told = [replace(device, state=LOST) if device.state is SILENT else device for device in made]
        assert judge_scope(told, UP).rule_id == "groups-lost-together"

    def test_two_networks_that_are_lost_together_while_five_are_well(self) -> None:
        made = [
            at(
                number,
                f"AS{number // 3}",
                ("tehran", "fars", "yazd")[number % 3],
                LOST if number < 6 else WELL,
            )
            for number in range(21)
        ]
        assert judge_scope(made, UP).rule_id == "groups-lost-together"
        apart = [
            replace(device, since_utc_s=NOW - 4000) if device.network == "AS0" else device for device in made
        ]
        assert judge_scope(apart, UP).verdict == "inconclusive"

    def test_neighbours_that_dropped_too_make_it_a_fault_on_the_way(self) -> None:
        made = provinces(LOST, "fars", "yazd")
        assert judge_scope(made, replace(UP, neighbours_lost=0.6)).verdict == "transit_fault"

    def test_the_first_hours_of_november_2019(self) -> None:
        """16 November 2019, UTC: the mobile operators at 14:00, then TCI in steps, Shatel at 17:00, the rest at 18:00."""
        homes = [
            *((name, "mobile") for name in ("mcci", "irancell", "rightel") for _ in range(3)),
            *(("tci", "fixed") for _ in range(4)),
            *((name, "fixed") for name in ("shatel", "parsonline", "itc") for _ in range(2)),
        ]

        def said(lost: dict[str, int]) -> str:
            seen: dict[str, int] = {}
            made = []
            for number, (network, kind) in enumerate(homes):
                seen[network] = seen.get(network, 0) + 1
                state = LOST if seen[network] <= lost.get(network, 0) else WELL
                region = ("tehran", "fars", "khorasan")[number % 3]
                made.append(at(number, network, region, state, kind=kind))
            return judge_scope(made, UP).verdict

        mobile = {"mcci": 3, "irancell": 3, "rightel": 3}
        assert said({"mcci": 3, "irancell": 3}) == "partial_shutdown"  # the third operator follows
        assert said(mobile) == "mobile_shutdown"
        assert said({**mobile, "tci": 3}) == "partial_shutdown"
        assert said({**mobile, "tci": 3, "shatel": 2}) == "partial_shutdown"
        assert said({**mobile, "tci": 3, "shatel": 2, "parsonline": 2, "itc": 2}) == "international_cut"


class TestPowerCut:
    """Silence of one place is a power cut as well as a shutdown."""

    def test_a_province_that_fell_silent(self) -> None:
        said = judge_scope(provinces(SILENT, "yazd"), UP)
        assert (said.verdict, said.rule_id) == ("inconclusive", "silent-in-one-region")

    def test_a_province_whose_devices_say_it_themselves_has_power(self) -> None:
        assert judge_scope(provinces(LOST, "yazd"), UP).verdict == "regional_shutdown"

    def test_a_country_whose_devices_all_stand_in_one_city(self) -> None:
        city = [at(number, NETWORKS[number % 4], "tehran", SILENT) for number in range(8)]
        assert judge_scope(city, UP).verdict == "inconclusive"
        unknown = [replace(device, region="") for device in city]
        assert judge_scope(unknown, UP).verdict == "total_shutdown"

    def test_a_network_of_one_city(self) -> None:
        made = [
            at(
                number,
                "shatel" if number < 4 else "tci",
                "yazd" if number < 4 else "fars",
                SILENT if number < 4 else WELL,
            )
            for number in range(12)
        ]
        assert judge_scope(made, UP).verdict == "inconclusive"
        # Another network's device goes on beside them: there is power.
        beside = [replace(device, region="yazd") if device.device == "d5" else device for device in made]
        assert judge_scope(beside, UP).verdict == "isp_outage"

    def test_a_power_cut_beside_one_device_that_is_lost_elsewhere(self) -> None:
        made = provinces(SILENT, "yazd")
        made[0] = replace(made[0], state=LOST, word="isp_or_wider_outage")
        assert judge_scope(made, UP).verdict == "inconclusive"


class TestOk:
    """A country is well only when its groups are."""

    def test_a_network_of_three_among_many(self) -> None:
        made = [
            at(
                number,
                f"AS{number // 3}",
                ("tehran", "fars")[number % 2],
                LOST if number in (0, 1, 2, 3) else WELL,
            )
            for number in range(30)
        ]
        # One more is lost elsewhere, so that it is no network's outage; 87 % are well.
        said = judge_scope(made, UP)
        assert (said.verdict, said.rule_id) == ("inconclusive", "group-not-well")

    def test_all_devices_of_a_kind(self) -> None:
        made = [
            at(number, f"AS{number}", ("tehran", "fars")[number % 2], LOST if number < 2 else WELL)
            for number in range(12)
        ]
        assert judge_scope(made, UP).verdict == "ok"
        mobile = [replace(device, kind="mobile") if device.state is LOST else device for device in made]
        assert judge_scope(mobile, UP).verdict != "ok"

    def test_smaller_ones_are_listed_beside_it(self) -> None:
        made = provinces(WELL)
        made[0] = replace(made[0], state=LOST)
        said = judge_scope(made, UP)
        assert said.verdict == "ok"
        assert any("tehran" in line and "1 lost" in line for line in lines(said)), lines(said)

    def test_a_progressive_cut_is_not_ok_until_the_end(self) -> None:
        """Twenty networks of five devices go one after the other, 20 minutes apart."""
        words = []
        for gone in range(21):
            made = [
                at(
                    number,
                    f"AS{number // 5}",
                    ("tehran", "fars", "yazd", "qom", "isfahan")[number % 5],
                    LOST if number // 5 < gone else WELL,
                    since_s=-1200.0 * (gone - number // 5) + 600.0 if number // 5 < gone else -90_000.0,
                )
                for number in range(100)
            ]
            words.append(str(judge_scope(made, UP).verdict))
        assert words[:2] == ["ok", "isp_outage"]
        assert "ok" not in words[2:]
        assert words[10] == "partial_shutdown"
        assert words[-1] == "international_cut"


@given(devices)
def test_no_part_is_accused_by_a_handful(found: list[DeviceState]) -> None:
    said = judge_scope(found, UP).verdict
    not_well = sum(device.state is not WELL for device in found)
    if said == "partial_shutdown":
        assert not_well >= 3
        assert len({device.network for device in found if device.state is not WELL}) >= 2


@given(devices)
def test_silence_of_one_region_accuses_nobody(found: list[DeviceState]) -> None:
    dark = [replace(device, state=SILENT, since_utc_s=NOW - 600, region="fars") for device in found[:6]]
    rest = [replace(device, state=WELL, region="tehran", told_utc_s=NOW) for device in found[6:]]
    if len(dark) >= 3:
        assert judge_scope([*dark, *rest], UP).verdict in ("inconclusive", "ok")
