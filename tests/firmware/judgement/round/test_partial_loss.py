"""What is said where some of what is sent passes: by delay and loss, by protocol, by size, by port."""

from dataclasses import replace

import pytest

from firmware.judgement.round.verdict import decide
from firmware.model.failures import Failure
from tests.firmware.judgement.round.stories import (
    IN,
    ORDINARY,
    OUT,
    SILENT,
    large_lost,
    only_web,
    part_silent,
    past_part,
    pinned,
    slow_and_lossy,
)
from tests.firmware.rounds import everything_works, many, seen


class TestAFullLine:
    """Congestion: delay and loss rise together on all, or it is not said."""

    def test_delay_without_loss_is_none(self) -> None:
        slow = [replace(one, retransmitted=False) for one in slow_and_lossy()]
        assert decide(slow, ORDINARY).verdict == "ok"

    def test_loss_without_delay_is_none(self) -> None:
        lossy = [replace(one, best_ns=100_000_000) for one in slow_and_lossy()]
        assert decide(lossy, ORDINARY).verdict == "ok"

    def test_one_rung_that_is_as_fast_as_ever_refutes_it(self) -> None:
        fast = [replace(one, best_ns=90_000_000) if one.rung is IN else one for one in slow_and_lossy()]
        assert decide(fast, ORDINARY).verdict == "ok"

    def test_without_a_history_nothing_is_ordinary(self) -> None:
        assert decide(slow_and_lossy(), ORDINARY[:4]).verdict == "ok"


class TestProtocols:
    """Filtering by protocol: one answer by the silent protocol refutes it."""

    BEFORE = (past_part(part_silent()),)

    def test_other_targets_in_the_round_before_are_loss(self) -> None:
        others = past_part([*part_silent()[:-1], seen("check", OUT, SILENT)])
        assert decide(part_silent(), [others]).rule_id == "protocols-part-unconfirmed"

    def test_one_place_that_passes_by_its_own_protocol_is_no_filter(self) -> None:
        """An allow-list of one page in clear text: what else is asked, by whatever protocol, is silent as well."""
        listed = [
            *part_silent(),
            seen("ftp", OUT, SILENT, test="tcp", target="ftp.example.org:21"),
            seen("whois", OUT, SILENT, test="tcp", target="whois.example.org:43"),
        ]
        assert decide(listed, self.BEFORE).rule_id == "few-networks-pass-unconfirmed"

    def test_on_a_slow_line_it_is_neither_a_filter_nor_well(self) -> None:
        (before,) = self.BEFORE
        slow = tuple(
            replace(state, usual_ns=5_000_000_000) if state.rung is OUT else state
            for state in before.ladder.rungs
        )
        said = decide(part_silent(), [replace(before, ladder=replace(before.ladder, rungs=slow))])
        assert (said.verdict, said.rule_id) == ("inconclusive", "protocols-part-unconfirmed")

    def test_one_answer_refutes_it(self) -> None:
        answered = [*part_silent(), seen("one", OUT)]
        assert decide(answered, self.BEFORE).verdict != "protocol_filtering"

    def test_a_network_of_its_own_proves_nothing(self) -> None:
        elsewhere = [replace(one, network="AS-else") if one.test == "http" else one for one in part_silent()]
        assert decide(elsewhere, self.BEFORE).verdict != "protocol_filtering"

    def test_ping_that_is_dropped_is_no_filter(self) -> None:
        pings = [replace(one, test="ping", target="192.0.2.1") for one in many(OUT, 5, SILENT, first=11)]
        assert decide([*everything_works(), *pings], self.BEFORE).verdict != "protocol_filtering"


class TestLargePackets:
    """A path that loses large packets is no filter; a filter stops small ones as well."""

    BEFORE = TestProtocols.BEFORE

    def test_it_is_no_filter(self) -> None:
        assert decide(large_lost(), [past_part(large_lost())]).rule_id == "large-packets-vanish"

    def test_a_small_handshake_that_is_silent_as_well_is_a_filter(self) -> None:
        all_silent = large_lost(small=SILENT)
        assert decide(all_silent, [past_part(all_silent)]).verdict == "protocol_filtering"

    def test_handshakes_that_fall_silent_name_no_filter_where_no_small_one_was_tried(self) -> None:
        untried = [one for one in large_lost() if not one.small_segments]
        assert decide(untried, [past_part(untried)]).verdict == "inconclusive"

    def test_connects_that_are_silent_are_a_filter_whatever_the_size(self) -> None:
        assert decide(part_silent(), self.BEFORE).verdict == "protocol_filtering"

    def test_one_large_handshake_that_passes_refutes_it(self) -> None:
        assert decide([*large_lost(), seen("large", OUT)], self.BEFORE).rule_id != "large-packets-vanish"


class TestOnlyTheWebPasses:
    """All TCP ports but those of the web, and plain UDP, are silent: a filter. Either alone is not said."""

    BEFORE = TestProtocols.BEFORE

    def test_both_are_a_filter_in_the_second_round(self) -> None:
        assert decide(only_web()).rule_id == "protocols-part-unconfirmed"
        assert decide(only_web(), [past_part(only_web())]).verdict == "protocol_filtering"

    @pytest.mark.parametrize(("ports", "datagrams"), [(SILENT, None), (None, SILENT)])
    def test_either_alone_is_not(self, ports: str | None, datagrams: str | None) -> None:
        either = only_web(ports=ports, datagrams=datagrams)
        assert decide(either, [past_part(either)]).verdict == "ok"

    def test_a_list_of_places_that_pass_is_no_list_of_ports(self) -> None:
        spared = [
            replace(one, failure=SILENT, failed_operation="connect")
            if one.target_name == "international-5"
            else one
            for one in only_web()
        ]
        assert decide(spared, [past_part(spared)]).verdict != "protocol_filtering"

    def test_clocks_whose_names_are_not_resolved_were_never_asked(self) -> None:
        unresolved = [
            replace(one, failure=Failure.DNS_NXDOMAIN, failed_operation="resolve")
            if one.test == "ntp"
            else one
            for one in only_web()
        ]
        assert decide(unresolved, [past_part(unresolved)]).verdict == "ok"

    def test_ipv6_that_leads_nowhere_is_no_port(self) -> None:
        sixes = [replace(one, test="tcp") for one in pinned(6, 4, SILENT)]
        asked = [*everything_works(), *pinned(4, 4), *sixes]
        assert decide(asked, [past_part(asked)]).verdict == "ok"
