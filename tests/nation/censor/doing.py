"""What becomes of one packet under one rule: it goes on, later, twice, not at all, or something is forged. Pure.

Each rule's memory over all flows is here: its rates, its lines, its lots, whom it remembers. Times are arguments and lots are
seeded. This file must never decide which rules are asked.
"""

import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tests.nation.censor import acts, contents, matching
from tests.nation.censor.carriage import Impair, Throttle
from tests.nation.censor.events import Ledger
from tests.nation.censor.flows import Flow
from tests.nation.censor.forgeries import Accept, Answer, Echo, Page, Redirect, Reset, Time
from tests.nation.censor.lines import Bucket, Line, Queue, throttled
from tests.nation.censor.model import Rule
from tests.nation.censor.packets import Packet
from tests.nation.censor.stops import Drop, ProtocolFilter, Reject

Send: TypeAlias = tuple[int, bool, bytes]
"""A frame to send: when (monotonic ns), whether up (to the outside), its bytes."""
_S: Final = 10**9


@dataclass(slots=True)
class _State:
    """What one rule remembers over all flows."""

    rates: dict[tuple[bool, Flow | None], Bucket | Queue] = field(default_factory=dict)
    lines: dict[bool, Line] = field(default_factory=dict)
    remembered: dict[tuple[bytes, bytes, int], int] = field(default_factory=dict)
    lots: random.Random | None = None


@dataclass(slots=True)
class Case:
    """One packet on its way: when it leaves so far, twice for a duplicate, and what is sent besides."""

    packet: Packet
    flow: Flow
    asked: contents.Question | None
    now_ns: int
    dues: list[int]
    forged: list[Send]


class Doing:
    """Does what rules say. `wall_ahead_ns` is how far the wall clock is ahead of the monotonic one."""

    def __init__(self, ledger: Ledger, *, wall_ahead_ns: int = 0) -> None:
        self._ledger = ledger
        self._wall_ahead_ns = wall_ahead_ns
        self._states: dict[str, _State] = {}
        self._files: Mapping[Path, bytes] = {}

    def change(self, rules: Sequence[Rule], kept: AbstractSet[str], files: Mapping[Path, bytes]) -> None:
        """Take other rules; those named in `kept` keep their memory."""
        self._states = {
            rule.name: self._states[rule.name] if rule.name in kept else _State() for rule in rules
        }
        self._files = files

    def sweep(self, now_ns: int, alive: AbstractSet[Flow]) -> None:
        """Forget what is over."""
        for state in self._states.values():
            state.rates = {
                key: rate for key, rate in state.rates.items() if key[1] is None or key[1] in alive
            }
            state.remembered = {
                pair: ends_ns for pair, ends_ns in state.remembered.items() if ends_ns > now_ns
            }

    def concerns(self, rule: Rule, case: Case) -> bool:
        """Return whether the rule is about the packet: by its contents, its size, its direction and its lot."""
        match = rule.match
        remembered = self._states[rule.name].remembered
        is_remembered = bool(remembered) and remembered.get(_pair(case.flow), 0) > case.now_ns
        if not is_remembered and not matching.concerns_packet(rule, case.flow, case.packet, case.asked):
            return False
        if match.direction not in ("both", "up" if case.packet.up else "down"):
            return False
        return match.share >= 1 or self._is_drawn(rule, case)

    def act(self, rule: Rule, case: Case) -> None:
        """Do what the rule says. No `dues` afterwards: the packet does not go on."""
        match rule.action:
            case Throttle() as how:
                rate = self._rate(rule, how, case)
                leaving = [rate.pass_at(case.packet.length, due_ns) for due_ns in case.dues]
                case.dues = [due_ns for due_ns in leaving if due_ns is not None]
                self._note(rule, "" if case.dues else "dropped", case)
            case Impair() as how:
                line = self._line(rule, how, case)
                went = len(case.dues)
                case.dues = [leaves for due_ns in case.dues for leaves in line.pass_at(due_ns)]
                word = "duplicated" if len(case.dues) > went else "" if case.dues else "lost"
                self._note(rule, word, case)
            case ProtocolFilter() as how:
                if acts.filtered(how, rule.name, case.packet, case.flow, now_ns=case.now_ns):
                    self._stop(rule, "dropped", case)
            case Drop() as how:
                self._remember(rule, how.remember_s, case)
                self._stop(rule, "dropped", case)
            case Reject() as how:
                self._send(case, acts.rejected(how, case.packet), case.now_ns)
                self._note(rule, "rejected", case)
                case.dues = [] if how.swallow else case.dues
            case _:
                self._forge(rule, case)

    def _forge(self, rule: Rule, case: Case) -> None:
        match rule.action:
            case Reset() as how:
                self._reset(rule, how, case)
            case Answer() as how:
                self._answer(rule, how, case)
            case Page() | Redirect() as how:
                self._page(rule, acts.page(how, self._files), case)
            case Accept() as how:
                self._accept(rule, how, case)
            case Echo() as how:
                self._answered(rule, acts.echoed(case.packet), case, how)
            case Time() as how:
                utc_ns = case.now_ns + round(how.after_ms * 1e6) + self._wall_ahead_ns
                self._answered(rule, acts.told_time(how, case.packet, case.flow, utc_ns=utc_ns), case, how)

    def _is_drawn(self, rule: Rule, case: Case) -> bool:
        state, match = self._states[rule.name], rule.match
        if state.lots is None:
            state.lots = random.Random(f"{rule.name}/{match.seed}")
        if match.lot == "packets":
            return state.lots.random() < match.share
        if rule.name not in case.flow.lots:
            case.flow.lots[rule.name] = state.lots.random() < match.share
        return case.flow.lots[rule.name]

    def _rate(self, rule: Rule, how: Throttle, case: Case) -> Bucket | Queue:
        rates = self._states[rule.name].rates
        key = (case.packet.up, case.flow if how.per == "flow" else None)
        if key not in rates:
            rates[key] = throttled(how)
        return rates[key]

    def _line(self, rule: Rule, how: Impair, case: Case) -> Line:
        lines = self._states[rule.name].lines
        up = case.packet.up
        if up not in lines:
            lines[up] = Line(how, up=up)
        return lines[up]

    def _reset(self, rule: Rule, how: Reset, case: Case) -> None:
        if not acts.can_be_reset(case.packet):
            return
        flow, now_ns = case.flow, case.now_ns
        self._remember(rule, how.remember_s, case)
        fires_ns = flow.done.get(rule.name)
        if fires_ns is not None and (now_ns <= fires_ns or not how.swallow):
            if how.swallow:
                self._stop(rule, "swallowed", case)
            return
        at_ns = max(now_ns, flow.first_ns + round(how.after_s * _S))
        flow.done[rule.name] = at_ns
        self._send(case, acts.resets(how, case.packet, flow), at_ns)
        self._note(rule, "reset", case, due_ns=at_ns)
        if how.swallow:
            case.dues = []

    def _answer(self, rule: Rule, how: Answer, case: Case) -> None:
        if rule.name in case.flow.done:
            self._swallow(rule, case)
        elif case.asked is not None:
            forged, ends_flow = acts.answers(how, case.packet, case.asked)
            at_ns = case.now_ns + round(how.after_ms * 1e6)
            self._send(case, forged, at_ns)
            self._note(rule, "answered", case, due_ns=at_ns)
            if ends_flow:
                case.flow.done[rule.name] = at_ns
            if ends_flow or how.suppress:
                case.dues = []

    def _answered(self, rule: Rule, forged: acts.Forged, case: Case, how: Echo | Time) -> None:
        if not forged:
            return
        at_ns = case.now_ns + round(how.after_ms * 1e6)
        self._send(case, forged, at_ns)
        self._note(rule, "answered", case, due_ns=at_ns)
        if how.suppress:
            case.dues = []

    def _page(self, rule: Rule, page: bytes, case: Case) -> None:
        if rule.name in case.flow.done:
            self._swallow(rule, case)
        elif acts.is_request(case.packet, case.flow):
            case.flow.done[rule.name] = case.now_ns
            self._send(case, acts.ended_with(page, case.packet), case.now_ns)
            self._stop(rule, "answered", case)

    def _accept(self, rule: Rule, how: Accept, case: Case) -> None:
        is_ours = rule.name in case.flow.done
        forged = acts.accepted(how, case.packet, case.flow, is_ours=is_ours)
        if forged is None:
            return
        case.flow.done.setdefault(rule.name, case.now_ns)
        self._send(case, forged, case.now_ns)
        self._stop(rule, "answered" if forged else "swallowed", case)

    def _swallow(self, rule: Rule, case: Case) -> None:
        """Keep the rest of an answered flow from going on; its end from the inside is acknowledged."""
        self._send(case, acts.farewell(case.packet, case.flow), case.now_ns)
        self._stop(rule, "swallowed", case)

    def _stop(self, rule: Rule, did: str, case: Case) -> None:
        case.dues = []
        self._note(rule, did, case)

    def _note(self, rule: Rule, did: str, case: Case, *, due_ns: int | None = None) -> None:
        self._ledger.note(rule, did, case.packet, case.flow, now_ns=case.now_ns, due_ns=due_ns)

    def _remember(self, rule: Rule, seconds: float, case: Case) -> None:
        remembered = self._states[rule.name].remembered
        if seconds and remembered.get(_pair(case.flow), 0) <= case.now_ns:
            remembered[_pair(case.flow)] = case.now_ns + round(seconds * _S)

    def _send(self, case: Case, frames: acts.Forged, at_ns: int) -> None:
        """Send forged frames, none before what was forwarded in its direction."""
        for up, frame in frames:
            case.forged.append((max(at_ns, case.flow.due.get(up, 0)), up, frame))


def _pair(flow: Flow) -> tuple[bytes, bytes, int]:
    return flow.opener, flow.responder, flow.port
