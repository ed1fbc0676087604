"""Devices of a made country as the scope rules see them, and what is known beside them: shared by the tests of scopes."""

from hypothesis import strategies as st

from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.outside import OutsideFacts
from collector.store.vantage_streaks import Key, VantageStreak
from firmware.judgement.site.evidence import SiteView, VantageSource
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.verdict_words import VerdictWord

NOW = 1_795_000_000.0
UP = OutsideFacts(connected=True, reached_utc_s=NOW)
NETWORKS = {"tci": "fixed", "shatel": "fixed", "mci": "mobile", "irancell": "mobile"}


def one(
    number: int,
    network: str,
    state: DeviceStanding,
    *,
    region: str = "",
    since_s: float = -600.0,
    was_well_unheard: bool = False,
) -> DeviceState:
    return DeviceState(
        device=f"d{number}",
        country="ir",
        network=network,
        kind=NETWORKS[network],
        region=region or ("tehran", "fars")[number % 2],
        state=state,
        heard_utc_s=NOW + since_s - 180,
        since_utc_s=NOW + since_s,
        was_well_unheard=was_well_unheard,
    )


def country(**states: DeviceStanding) -> list[DeviceState]:
    """Return four devices a network, in two regions, in the given states; those not named are well."""
    return [
        one(4 * index + number, network, states.get(network, DeviceStanding.WELL))
        for index, network in enumerate(NETWORKS)
        for number in range(4)
    ]


LOOKED = [
    VantageStreak(
        key=Key(test="web_connectivity", target="https://x.example/", target_name="x"),
        first_utc_ns=1,
        last_utc_ns=2,
        samples=1,
        failure=None,
        failed_operation=None,
        view=SiteView(source=VantageSource.COLLECTOR, status=200),
    )
]
"""The vantage gets the platform x."""


def seen(
    blocked: int, *, word: str = "blocked_tls", of: int = 12, confidence: str = "high"
) -> list[tuple[DeviceState, list[TargetJudgement]]]:
    """Return well devices in four networks in turn, of which the first find x blocked."""
    found = []
    for number in range(of):
        verdict = VerdictWord(word) if number < blocked else VerdictWord.OK
        step = "tls" if number < blocked else "page"
        judged = TargetJudgement(name="x", verdict=verdict, rule_id="r", step=step, confidence=confidence)
        found.append((one(number, [*NETWORKS][number % 4], DeviceStanding.WELL), [judged]))
    return found


ALL_SILENT = country(**dict.fromkeys(NETWORKS, DeviceStanding.SILENT))
SHUTDOWNS = {"total_shutdown", "mobile_shutdown", "regional_shutdown", "isp_outage"}
devices = st.lists(
    st.builds(
        one,
        st.integers(0, 40),
        st.sampled_from(sorted(NETWORKS)),
        st.sampled_from(DeviceStanding),
        region=st.sampled_from(["tehran", "fars", "qom"]),
        since_s=st.floats(-4000, 0),
    ),
    max_size=20,
    unique_by=lambda device: device.device,
)
