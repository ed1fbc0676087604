"""Plans: those that ship can be used and keep their promises, and a broken one says everything that is wrong."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from firmware.judgement.ladder import quick_deadline_s
from firmware.judgement.observation import AUTHENTICATING_TESTS
from firmware.judgement.reach import MIN_REFERENCES
from firmware.measurements import MEASUREMENTS
from firmware.model.record import Rung, Zone
from firmware.net.targets import family_of
from firmware.plans.checks import ESTIMATES, day_bytes, estimate_bytes, round_bytes, round_s
from firmware.plans.load import GENERIC, PlanError, countries, load

DATA = Path(__file__).parents[2] / "data"
BROKEN = DATA / "broken_plans"
GOOD = DATA / "plans" / "good.toml"

# What follows the file's name, fault by fault.
EXPECTED = {
    "references_by_dns_only": [
        ": rung international: found tls and http targets in 2 unrelated networks (AS64501, AS64502); allowed is 3 or more: fewer cannot tell an outage from one network's fault",
    ],
    "country_not_two_letters": [
        ':2: country: found the text "Iran"; allowed is two letters a-z (ISO 3166-1 alpha-2), or zz for none in particular',
    ],
    "country_without_anchors": [
        ": rung domestic: found tls and http targets in no network; allowed is 3 or more: fewer cannot tell an outage from one network's fault",
    ],
    "day_too_dear": [
        ": cadence.budget_bytes_per_day: found a calm day of about 13,896,000 bytes; allowed is 1,000,000",
    ],
    "duplicate_names": [
        ': name "i3": found 2 times; allowed is each name once in a plan',
    ],
    "empty": [
        ": schema: found nothing; allowed is a whole number from 1 to 1",
        ": country: found nothing; allowed is text",
        ": name: found nothing; allowed is text",
        ": revised: found nothing; allowed is a day such as 2026-11-21",
        ": cadence: found nothing; allowed is a table",
    ],
    "empty_text": [
        ':3: name: found the text " "; allowed is text, not empty',
    ],
    "later_schema": [
        ":1: schema: found schema 2, of newer software; allowed is up to 1: upgrade, or take the plan that came with this version",
    ],
    "list_missing": [
        ':15: list[1] "ir".file: found none.csv (no such file or directory); allowed is a Citizen Lab CSV list, by its path from the plan',
    ],
    "list_with_bad_lines": [
        ":15: list[1] \"ir\".file line 3: found the URL 'ftp://example.org/'; allowed is http://HOST/… or https://HOST/…",
        ':15: list[1] "ir".file line 4: found 2 fields; allowed is 6 fields: url,category_code,category_description,date_added,source,notes',
    ],
    "list_without_header": [
        ":15: list[1] \"ir\".file line 1: found the header 'https://example.org/,NEWS,News Media,2014-04-15,test,'; allowed is url,category_code,category_description,date_added,source,notes",
    ],
    "missing_key": [
        ':6: target[7] "i3".why: found nothing; allowed is text',
    ],
    "name_with_space": [
        ':6: target[7] "Third one".name: found the text "Third one"; allowed is 1 to 40 of a-z, 0-9, dot and hyphen',
    ],
    "network_missing": [
        ': target "i4".network: found nothing; allowed is network = { asn = …, name = … }: evidence is counted in unrelated networks',
    ],
    "network_under_two_operators": [
        ': "i4".network.operator: found Else for AS64503; allowed is no operator, as elsewhere in this plan',
    ],
    "network_without_asn": [
        ':6: target[7] "i3".network.asn: found nothing; allowed is a whole number from 1 to 4294967294',
    ],
    "not_utf8": [
        ":3: found a byte that is not UTF-8; allowed is TOML: key = value, [[target]]",
    ],
    "number_for_text": [
        ":3: name: found the number 7; allowed is text, not empty",
    ],
    "one_operator_twice": [
        ": rung international: found tls and http targets in 2 unrelated networks (AS64501, Both); allowed is 3 or more: fewer cannot tell an outage from one network's fault",
    ],
    "option_is_table": [
        ':6: target[7] "i3".options.sni: found a table; allowed is text, a number, true or false',
    ],
    "option_refused": [
        ":6: target[7] \"i3\".target: tls: found option 'snl'; the options of tls are: alpn, family, sni",
    ],
    "portal_check_without_expectation": [
        ': target "portal".options: found no expectation; allowed is expect_status = … or expect_redirect = …: a sign-in page answers plain HTTP too',
    ],
    "revised_as_text": [
        ':4: revised: found the text "2026-11-21"; allowed is a day such as 2026-11-21, without quotes',
    ],
    "round_limits_too_high": [
        ":15: round.deadline_s: found the number 60; allowed is a whole number from 1 to 59",
        ":15: round.max_bytes: found the number 200000; allowed is a whole number from 1 to 100000",
    ],
    "round_too_dear": [
        ": round.max_bytes: found a round of about 551,588 bytes (most: page 532,288, i1 6,000, i2 6,000); allowed is 100,000",
        ": cadence.budget_bytes_per_day: found a calm day of about 397,143,360 bytes; allowed is 100,000,000",
    ],
    "round_too_long": [
        ": round.deadline_s: found 7 starts 1000 ms apart and a time-out of 20 s: 26.0 s; allowed is 22 s: fewer targets, or a shorter stagger_ms",
    ],
    "rung_missing": [
        ": rung gateway: found no target; allowed is at least one: every round climbs every rung",
    ],
    "six_faults": [
        ':2: country: found the text "zzz"; allowed is two letters a-z (ISO 3166-1 alpha-2), or zz for none in particular',
        ":5: cadence.calm_s: found the number 1; allowed is a whole number from 30 to 86400",
        ':6: target[5] "i1".rung: found the text "x"; allowed is one of link, address, gateway, resolver, domestic, international, platforms',
        ":6: target[5] \"i1\".target: found '-'; allowed is a host name (letters, digits, hyphens, dots; at most 63 characters a label, 253 in all), an IPv4 or an IPv6 address",
        ':6: target[6] "i2".source: found nothing; allowed is text',
        ':14: task[1] "t".why: found the number 1; allowed is text, not empty',
    ],
    "syntax": [
        ":3: found text that is not TOML (invalid value); allowed is TOML: key = value, [[target]]",
    ],
    "table_for_array": [
        ":6: target: found a table; allowed is tables, each under a line [[target]]",
    ],
    "target_refused": [
        ":6: target[7] \"i3\".target: found port 'port'; allowed is a whole number from 1 to 65535",
    ],
    "task_too_often": [
        ':15: task[1] "page".every_s: found the number 0; allowed is a whole number from 1 to 31622400',
    ],
    "text_for_number": [
        ':5: cadence.calm_s: found the text "120"; allowed is a whole number from 30 to 86400',
    ],
    "text_for_table": [
        ':6: target[1]: found the text "link"; allowed is a table',
    ],
    "too_few_references": [
        ": rung international: found tls and http targets in 2 unrelated networks (AS64501, AS64502); allowed is 3 or more: fewer cannot tell an outage from one network's fault",
    ],
    "transition_slower_than_calm": [
        ": cadence.transition_s: found 600; allowed is at most calm_s, 120: a transition is watched more closely",
    ],
    "truth_for_number": [
        ":5: cadence.calm_s: found true; allowed is a whole number from 30 to 86400",
    ],
    "unknown_key": [
        ":5: cadence.calm_s: found nothing; allowed is a whole number from 30 to 86400",
        ":5: cadence.clam_s: found a key that does not exist; allowed is one of budget_bytes_per_day, calm_s, transition_s (did you mean calm_s?)",
    ],
    "unknown_key_of_target": [
        ':6: target[7] "i3".zone: found nothing; allowed is one of local, domestic, international',
        ':6: target[7] "i3".zoen: found a key that does not exist; allowed is one of name, network, options, rung, source, target, test, why, zone (did you mean zone?)',
    ],
    "unknown_rung": [
        ':6: target[7] "i3".rung: found the text "internatonal"; allowed is one of link, address, gateway, resolver, domestic, international, platforms (did you mean international?)',
    ],
    "unknown_table": [
        ":15: cadense: found a key that does not exist; allowed is one of cadence, country, list, name, revised, round, schema, target, task (did you mean cadence?)",
    ],
    "unknown_test": [
        ':6: target[7] "i3".test: found the text "quic"; allowed is one of link, address, ping, tcp, ntp, dns, tls, http, traceroute, pmtu, web_connectivity',
    ],
    "unknown_zone": [
        ':6: target[7] "i3".zone: found the text "abroad"; allowed is one of local, domestic, international',
    ],
    "wrong_test_for_rung": [
        ': target "link".test: found address on rung link; allowed is link',
    ],
    "wrong_zone_for_rung": [
        ': target "i3".zone: found domestic on rung international; allowed is international',
    ],
}


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_each_broken_plan_says_everything_that_is_wrong(path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load(path=path)
    assert str(caught.value).splitlines() == [f"{path}{line}" for line in EXPECTED[path.stem]]
    assert len(caught.value.faults) == len(EXPECTED[path.stem])


def test_every_expectation_has_its_file() -> None:
    assert {path.stem for path in BROKEN.glob("*.toml")} == set(EXPECTED)


def test_a_plan_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    for path, found in (
        (tmp_path / "none.toml", "no such file or directory"),
        (tmp_path, "is a directory"),
        (Path("/dev/zero"), "more than 1 MiB"),
    ):
        with pytest.raises(PlanError) as caught:
            load(path=path)
        assert str(caught.value).startswith(f"{path}: found {found}; allowed is ")


def test_a_country_without_a_plan_is_told_those_that_have_one() -> None:
    with pytest.raises(PlanError) as caught:
        load(country="xx")
    assert "found 'xx'; allowed is one of ir, zz (generic); or the path of a plan file" in str(caught.value)


def test_what_is_read_is_what_was_written() -> None:
    plan = load(path=GOOD)
    assert (plan.country, plan.name, plan.label, plan.file) == ("zz", "Test", "zz 2026-11-21", str(GOOD))
    assert (plan.cadence.calm_s, plan.cadence.transition_s) == (120, 30)
    assert (plan.round.stagger_ms, plan.round.deadline_s, plan.round.max_bytes) == (40, 59, 100_000)
    first = plan.on_rung(Rung.INTERNATIONAL)[0]
    assert (first.name, first.test, first.target, first.zone) == (
        "i1",
        "tls",
        "192.0.2.1:443",
        Zone.INTERNATIONAL,
    )
    assert first.options == {"sni": "example.org"}
    assert first.network is not None
    assert (first.network.asn, first.network.owner, str(first.network)) == (64501, "AS64501", "AS64501 N")
    assert plan.target("i1") is first
    assert plan.target("nobody") is None


def test_a_tables_line_is_told_where_it_has_one(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        GOOD.read_text() + '\n[[task]]\nname = "t"\nzone = "here"\ntest = "link"\ntarget = "@uplink"\n'
    )
    with pytest.raises(PlanError) as caught:
        load(path=path)
    line = len(GOOD.read_text().splitlines()) + 2
    assert {fault.line for fault in caught.value.faults} == {line}
    assert [fault.place for fault in caught.value.faults] == [
        f'task[1] "t".{key}' for key in ("every_s", "zone", "source", "why")
    ]


@pytest.mark.parametrize("country", countries())
class TestThePlansThatShip:
    """What is true of each of them."""

    def test_it_loads_in_any_case_and_is_of_its_country(self, country: str) -> None:
        plan = load(country=country.upper())
        assert plan.country == country
        assert plan == load(path=Path(plan.file))

    def test_every_target_says_where_it_comes_from_and_why(self, country: str) -> None:
        plan = load(country=country)
        said: list[tuple[str, str]] = [(target.source, target.why) for target in plan.targets]
        said += [(task.source, task.why) for task in plan.tasks]
        assert all(source and why for source, why in said)

    def test_three_references_need_no_name_to_be_resolved(self, country: str) -> None:
        # a reference target that was never asked, because its name was not resolved, is no evidence of a cut
        pinned = {
            target.network.owner
            for target in load(country=country).on_rung(Rung.INTERNATIONAL)
            if target.network is not None
            and target.test in AUTHENTICATING_TESTS
            and family_of(target.target.rsplit(":", 1)[0]) == 4
        }
        assert len(pinned) >= 3

    def test_one_reference_finds_sign_in_pages(self, country: str) -> None:
        checks = [
            target
            for target in load(country=country).on_rung(Rung.INTERNATIONAL)
            if target.target.startswith("http://") and "expect_status" in target.options
        ]
        assert checks

    def test_a_round_and_a_day_stay_within_what_was_promised(self, country: str) -> None:
        plan = load(country=country)
        assert round_bytes(plan) <= plan.round.max_bytes <= 100_000
        assert round_s(plan) <= quick_deadline_s(plan) < 30
        assert plan.round.deadline_s < 60
        # a fifth of the budget is left for transitions
        assert day_bytes(plan) <= 0.8 * plan.cadence.budget_bytes_per_day

    def test_no_reference_and_no_anchor_shares_a_network(self, country: str) -> None:
        plan = load(country=country)
        anchors = plan.unrelated_networks(Rung.DOMESTIC, MEASUREMENTS)
        assert not anchors & plan.unrelated_networks(Rung.INTERNATIONAL, MEASUREMENTS)


def test_iran_has_anchors_that_need_no_resolver_and_one_that_decides_nothing() -> None:
    anchors = load(country="ir").on_rung(Rung.DOMESTIC)
    pinned = [one for one in anchors if family_of(one.target.rsplit(":", 1)[0]) == 4]
    assert len({one.network.owner for one in pinned if one.network is not None}) >= 2
    assert [one.name for one in anchors if one.test == "dns"] == ["dns-ir"]


def test_iran_asks_no_public_resolver_for_a_reference() -> None:
    # their TLS endpoints are blocked there: they would be no reference target
    names = {target.options.get("sni") for target in load(country="ir").on_rung(Rung.INTERNATIONAL)}
    assert not names & {"one.one.one.one", "cloudflare-dns.com", "dns.google", "dns.quad9.net"}


def test_the_generic_plan_claims_no_domestic_network() -> None:
    assert load().country == GENERIC
    assert load().on_rung(Rung.DOMESTIC) == ()


def test_a_citizen_lab_list_becomes_one_task_a_url(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        GOOD.read_text()
        + '[[list]]\nname = "ir"\nfile = "ir.csv"\nevery_s = 604_800\nzone = "international"\n'
        'options = { body_cap = 65_536 }\ncategories = ["NEWS"]\n'
    )
    (tmp_path / "ir.csv").write_text((DATA / "lists" / "ir.csv").read_text())
    tasks = load(path=path).tasks
    assert [(task.name, task.target) for task in tasks] == [
        ("ir/2", "https://example.org/"),
        ("ir/5", "https://example.net/"),
    ]
    assert {(task.test, task.every_s, task.options["body_cap"]) for task in tasks} == {
        ("http", 604_800, 65_536)
    }
    assert tasks[0].source == "ir.csv, line 2"
    assert tasks[0].why == "a note, with a comma"


@pytest.mark.parametrize(
    ("rows", "categories", "urls", "warned"),
    [
        (
            "https://a.example/,NEWZ,n,2020-01-01,s,",
            "[]",
            ["https://a.example/"],
            ["file line 2: found the category 'NEWZ'"],
        ),
        (
            "https://a.example/,,n,2020-01-01,s,",
            "[]",
            ["https://a.example/"],
            ["file line 2: found no category"],
        ),
        (
            "https://a.example/,NEWS,n,2020-01-01,s,",
            '["NEWS", "MILX"]',
            ["https://a.example/"],
            ["categories: found the text 'MILX'; allowed is one of those in the list: NEWS"],
        ),
        ("https://a.example/,NEWS,n,2020-01-01,s,", '["MILX"]', [], ["categories: found the text 'MILX'"]),
        ("https://a.example/,NEWS,n,2020-01-01,s,", "[]", ["https://a.example/"], []),
    ],
)
def test_an_unknown_category_is_a_warning_and_stops_nothing(
    tmp_path: Path, rows: str, categories: str, urls: list[str], warned: list[str]
) -> None:
    """A list that its makers revised must not keep a device from starting."""
    path = tmp_path / "plan.toml"
    path.write_text(
        GOOD.read_text()
        + '[[list]]\nname = "ir"\nfile = "ir.csv"\nevery_s = 604_800\nzone = "international"\n'
        f"options = {{ body_cap = 65_536 }}\ncategories = {categories}\n"
    )
    (tmp_path / "ir.csv").write_text(
        f"url,category_code,category_description,date_added,source,notes\n{rows}\n"
    )
    plan = load(path=path)
    assert [task.target for task in plan.tasks] == urls
    assert len(plan.warnings) == len(warned)
    for found, wanted in zip(plan.warnings, warned, strict=True):
        assert wanted in str(found)


def test_every_test_has_an_estimate() -> None:
    assert set(ESTIMATES) == set(MEASUREMENTS)


def test_an_estimate_grows_with_what_the_options_ask_for() -> None:
    plan = load(country="ir")
    portal = plan.target("portal-check")
    assert portal is not None
    options: Mapping[str, int] = {"body_cap": 0}
    assert (
        estimate_bytes(portal)
        == ESTIMATES["http"](portal.target, options)
        < ESTIMATES["http"](portal.target, {})
    )
    assert ESTIMATES["ping"]("x", {"count": 10}) > ESTIMATES["ping"]("x", {})


@pytest.mark.parametrize("country", countries())
def test_a_shipped_plan_meets_a_sign_in_page_where_no_name_is_resolved(country: str) -> None:
    checks = [one for one in load(country=country).on_rung(Rung.INTERNATIONAL) if one.test == "http"]
    pinned = [one for one in checks if family_of(one.target.removeprefix("http://").split("/")[0])]
    assert pinned
    assert len(checks) > len(pinned)  # and one by name, which some sign-in pages answer for


@pytest.mark.parametrize("country", countries())
def test_a_shipped_plan_asks_enough_over_each_family_and_beside_the_web(country: str) -> None:
    plan = load(country=country)
    asked = plan.on_rung(Rung.INTERNATIONAL)
    for family in (4, 6):
        hosts = {
            one.target.rpartition(":")[0].strip("[]"): one for one in asked if one.test in ("tls", "tcp")
        }
        owners = {
            one.network.owner for host, one in hosts.items() if one.network and family_of(host) == family
        }
        assert len(owners) >= MIN_REFERENCES
    ports = {
        one.network.owner for one in asked if one.network and one.test == "tcp" and ":443" not in one.target
    }
    clocks = {one.network.owner for one in asked if one.network and one.test == "ntp"}
    assert min(len(ports), len(clocks)) >= MIN_REFERENCES
    assert ports & plan.unrelated_networks(Rung.INTERNATIONAL, ("tls",))


@pytest.mark.parametrize("country", countries())
def test_a_shipped_plan_shakes_hands_in_small_packets_and_in_large_ones(country: str) -> None:
    shaken = [one for one in load(country=country).on_rung(Rung.INTERNATIONAL) if one.test == "tls"]
    small = [one for one in shaken if "max_segment" in one.options]
    assert 0 < len(small) < len(shaken)
