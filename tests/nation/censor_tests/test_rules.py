"""A rules file is read as written, or refused with every fault: file, line, rule, key, found, allowed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.nation.censor import rules
from tests.nation.censor.match import Match
from tests.nation.censor.stops import Drop
from tests.needs import ROOT

DATA = ROOT / "tests" / "data"
BROKEN = DATA / "broken_censor"

# What follows the file's name, fault by fault.
EXPECTED = {
    "answer_without_name": [
        ":1: [rule 1].match: found neither qname nor qtype; allowed is a DNS match: answer forges DNS answers",
    ],
    "begins_again_before_its_end": [
        ":1: rule 1: found settings that exclude each other; allowed is every_s with an until_s that is not after it",
    ],
    "content_for_protocol_filter": [
        ":3: [rule 1].match: found a content; allowed is addresses, ports, proto: protocol_filter looks at contents itself",
    ],
    "empty_array": [
        ":3: [rule 1.match].sni: found an empty array; allowed is an array, each text, in quotes",
    ],
    "ends_before_it_begins": [
        ":1: rule 1: found settings that exclude each other; allowed is until_s after from_s",
    ],
    "key_of_another_action": [
        ":3: [rule 1].rate_bit_s: found a key that does not exist; allowed is one of name, match, do, remember_s, from_s, until_s, every_s",
    ],
    "match_as_text": [
        ':3: [rule 1].match: found the text "x.com"; allowed is a table: { sni = "x.com" }',
    ],
    "no_action": [
        ':1: [rule 1 "no x.com"].do: found nothing; allowed is one of "forward", "drop", "reject", "reset", "answer", "page", "redirect", "accept", "echo", "time", "throttle", "impair", "protocol_filter", "translate"',
    ],
    "not_an_address": [
        ':4: [rule 1].addresses: found the text "10.10.34.340"; allowed is an address: "10.10.34.34", "d0::11"',
    ],
    "not_utf8": [
        ":2: found a byte that is not UTF-8; allowed is TOML: [[rule]], key = value, text in quotes",
    ],
    "number_for_text": [
        ":3: [rule 1.match].host: found the number 5; allowed is text, in quotes",
    ],
    "odd_hex": [
        ':3: [rule 1.match].payload_hex: found the text "160"; allowed is bytes as hex pairs, in quotes',
    ],
    "page_file_missing": [
        ':4: [rule 1].file: found the text "no-such-page.http" (no such file or directory); allowed is a file that can be read, by its path from the rules file',
    ],
    "page_for_udp": [
        ":3: [rule 1.match].proto: found the array ['udp']; allowed is \"tcp\": page is for HTTP",
    ],
    "port_of_icmp": [
        ":3: [rule 1.match].port: found the array [80]; allowed is no port: ICMP has none",
    ],
    "port_out_of_range": [
        ":4: [rule 1.match].port: found the number 70000; allowed is a whole number from 1 to 65535",
    ],
    "prefix_with_host_bits": [
        ':3: [rule 1.match].to: found the text "10.0.0.1/8"; allowed is an address or a prefix without host bits: "10.0.0.1", "203.0.113.0/24", "2001:db8::/32"',
    ],
    "redirect_to_nowhere": [
        ":1: [rule 1].location: found nothing; allowed is where to redirect to",
    ],
    "rule_as_table": [
        ":1: rule: found a table; allowed is tables, each under a line [[rule]]",
    ],
    "share_above_one": [
        ":3: [rule 1].loss: found the number 10; allowed is a number from 0 to 1",
    ],
    "sizes_that_no_packet_has": [
        ":3: [rule 1].match: found sizes that no packet has; allowed is smaller_than above larger_than + 1, or 0",
    ],
    "six_faults": [
        ':6: [rule 1 "slow"].how: found the text "squeeze"; allowed is one of "police", "shape"',
        ':7: [rule 1 "slow"].rate_bit_s: found the number 10; allowed is a whole number, at least 1000, in bit/s',
        ':11: [rule 2 "names".match].prot: found a key that does not exist; allowed is one of from, to, address, proto, port, sni, host, qname, qtype, payload, payload_hex, direction, reassemble, larger_than, smaller_than, share, lot, seed (did you mean proto?)',
        ':11: [rule 2 "names".match].direction: found the text "sideways"; allowed is one of "both", "up", "down"',
        ':13: [rule 2 "names"].times: found the number 0; allowed is a whole number from 1 to 100',
        ':14: [rule 2 "names"].until: found a key that does not exist; allowed is one of name, match, do, ends, times, after_s, swallow, remember_s, from_s, until_s, every_s (did you mean until_s?)',
    ],
    "syntax": [
        ":2: found text that is not TOML (illegal character '\\n'); allowed is TOML: [[rule]], key = value, text in quotes",
    ],
    "text_for_number": [
        ':3: [rule 1].delay_ms: found the text "50"; allowed is a number from 0 to 60000, in ms',
    ],
    "translate_to_nowhere": [
        ':1: [rule 1].address: found nothing; allowed is the IPv4 address that it leaves from: "203.0.113.9"',
    ],
    "two_translations": [
        ':5: [rule 2].do: found "translate" a second time; allowed is one translation on a link',
    ],
    "two_of_one_name": [
        ':6: [rule 2 "a"].name: found the text "a" a second time; allowed is a name that no other rule has',
    ],
    "unknown_action": [
        ':4: [rule 1 "no x.com"].do: found the text "rest"; allowed is one of "forward", "drop", "reject", "reset", "answer", "page", "redirect", "accept", "echo", "time", "throttle", "impair", "protocol_filter", "translate" (did you mean reset?)',
    ],
    "unknown_key": [
        ':4: [rule 1 "no x.com"].time: found a key that does not exist; allowed is one of name, match, do, ends, times, after_s, swallow, remember_s, from_s, until_s, every_s (did you mean times?)',
    ],
    "unknown_match": [
        ":3: [rule 1.match].snii: found a key that does not exist; allowed is one of from, to, address, proto, port, sni, host, qname, qtype, payload, payload_hex, direction, reassemble, larger_than, smaller_than, share, lot, seed (did you mean sni?)",
    ],
    "unknown_table": [
        ":1: rules: found a key that does not exist; allowed is rule: tables, each under a line [[rule]]",
    ],
}


def test_every_broken_file_is_expected() -> None:
    assert {path.stem for path in BROKEN.iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_each_fault_is_told(name: str) -> None:
    path = BROKEN / f"{name}.toml"
    with pytest.raises(rules.SettingsError) as caught:
        rules.load(path)
    assert [str(fault).removeprefix(str(path)) for fault in caught.value.faults] == EXPECTED[name]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(
        rules.SettingsError, match=r"nowhere\.toml: found no such file or directory; allowed is"
    ):
        rules.load(Path("nowhere.toml"))


def test_the_command_tells_them_all_and_ends_with_2() -> None:
    path = BROKEN / "six_faults.toml"
    words = [sys.executable, "-m", "tests.nation.censor", "--rules", str(path)]
    for more in (["--check"], ["--between", "nowhere", "neither"]):
        done = subprocess.run(
            [*words, *more], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
        )
        lines = done.stderr.splitlines()
        assert (done.returncode, done.stdout, len(lines)) == (2, "", 7)
        assert lines[6] == "6 faults; nothing was changed or started."


def test_one_value_or_several_may_stand_where_several_may() -> None:
    one = rules.loads('[[rule]]\ndo = "drop"\nmatch = { from = "10.0.0.0/8", port = 53, sni = "x.com" }')
    many = rules.loads(
        '[[rule]]\ndo = "drop"\n[rule.match]\nfrom = ["10.0.0.0/8"]\nport = [53]\nsni = ["x.com"]'
    )
    assert one == many
    (rule,) = one.rules
    assert rule.match == Match(sender=("10.0.0.0/8",), port=(53,), sni=("x.com",))
    assert (rule.name, rule.do, rule.action) == ("rule 1", "drop", Drop())


def test_a_page_comes_from_a_file_beside_the_rules(tmp_path: Path) -> None:
    (tmp_path / "page.http").write_bytes(b"HTTP/1.1 200 OK\r\n\r\nno")
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\ndo = "page"\nmatch = { host = "x.com" }\nfile = "page.http"')
    found = rules.load(path)
    assert found.files == {tmp_path / "page.http": b"HTTP/1.1 200 OK\r\n\r\nno"}


def test_a_later_rule_may_not_have_the_name_an_earlier_one_was_given() -> None:
    with pytest.raises(rules.SettingsError, match="a second time"):
        rules.loads('[[rule]]\nname = "rule 2"\ndo = "drop"\n[[rule]]\ndo = "drop"')
