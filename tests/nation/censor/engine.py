"""The censor's mind: one packet in, what is sent instead out. Pure: time is an argument, lots are seeded.

Rules are asked in order. throttle and impair change how the packet goes on and later rules are asked too; so
does an answer or a reset that leaves the packet alone; every other action ends the matter. This file must never
touch a socket, a file or a clock.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.nation.censor import acts, contents, matching
from tests.nation.censor.events import Event, Ledger
from tests.nation.censor.flows import Flow, FlowTable, quick_key
from tests.nation.censor.lines import Bucket, Line, Queue, throttled
from tests.nation.censor.model import (
    Answer,
    Drop,
    Forward,
    Impair,
    Page,
    ProtocolFilter,
    Redirect,
    Reject,
    Reset,
    Rule,
    Rules,
    Throttle,
)
from tests.nation.censor.packets import Packet, parse

Send: TypeAlias = tuple[int, bool, bytes]
"""A frame to send: when (monotonic ns), whether up (to the outside), its bytes."""

_S: Final = 10**9
_SWEEP_NS: Final = 10 * _S


@dataclass(slots=True)
class _State:
    """What one rule remembers over all flows."""

    rates: dict[tuple[bool, Flow | None], Bucket | Queue] = field(default_factory=dict)
    lines: dict[bool, Line] = field(default_factory=dict)
    remembered: dict[tuple[bytes, bytes, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Case:
    """One packet on its way: when it leaves so far, twice for a duplicate, and what is sent besides."""

    packet: Packet
    flow: Flow
    asked: contents.Question | None
    now_ns: int
    dues: list[int]
    forged: list[Send]


class Engine:
    """Applies rules to packets."""

    def __init__(self, rules: Rules, *, now_ns: int) -> None:
        self._rules = Rules()
        self._flows = FlowTable()
        self._states: dict[str, _State] = {}
        self._ledger = Ledger()
        self._active: tuple[Rule, ...] = ()
        self._generation = 0
        self._start_ns = self._edge_ns = self._sweep_ns = now_ns
        self.change(rules, now_ns=now_ns)

    def change(self, rules: Rules, *, now_ns: int) -> None:
        """Use other rules from now on; a rule that stays as it was keeps its memory, the timetable begins anew."""
        kept = {rule.name for rule in rules.rules if rule in self._rules.rules}
        self._states = {
            rule.name: self._states[rule.name] if rule.name in kept else _State() for rule in rules.rules
        }
        for flow in self._flows.all():
            flow.marks &= kept
            flow.done = {name: value for name, value in flow.done.items() if name in kept}
            flow.looked = {name: value for name, value in flow.looked.items() if name in kept}
            flow.noted.clear()
        self._rules = rules
        self._start_ns = now_ns
        self._generation += 1
        self._turn(now_ns)

    def events(self) -> list[Event]:
        """Return what was done since the last time this was asked."""
        return self._ledger.take()

    def counts(self, now_ns: int) -> list[Event]:
        """Return how often each rule did each thing, where that has changed since the last time."""
        return self._ledger.counts(now_ns)

    def idle(self, now_ns: int) -> bool:
        """Return whether no rule is in force."""
        if now_ns >= self._edge_ns:
            self._turn(now_ns)
        return not self._active

    @property
    def next_edge_ns(self) -> int:
        """When the rules in force may change next."""
        return self._edge_ns

    def is_free(self, frame: bytes, now_ns: int) -> bool:
        """Return whether the frame belongs to a flow that no rule concerns: the fast way to know."""
        key = quick_key(frame)
        if key is None:
            return False
        flow = self._flows.get(key)
        if flow is None or flow.candidates or flow.generation != self._generation:
            return False
        flow.last_ns = now_ns
        return True

    def handle(self, frame: bytes, *, up: bool, now_ns: int) -> list[Send] | None:
        """Return what to send for a frame, complete as on a wire; None to forward it as it is at once."""
        if self.idle(now_ns):
            return None
        packet = parse(frame, up)
        if packet is None:
            return None
        flow = self._flows.of(packet, now_ns)
        if flow.generation != self._generation:
            flow.candidates = tuple(rule for rule in self._active if matching.concerns_flow(rule, flow))
            flow.generation = self._generation
        return self._apply(packet, flow, now_ns) if flow.candidates else None

    def _turn(self, now_ns: int) -> None:
        """Take up the rules that are in force now, and note when that changes next."""
        at_ns = now_ns - self._start_ns
        active = tuple(rule for rule in self._rules.rules if rule.timetable.holds(at_ns))
        changes = [rule.timetable.next_change_ns(at_ns) for rule in self._rules.rules]
        coming = [self._start_ns + change for change in changes if change is not None]
        if active != self._active:
            begun = {rule.name for rule in self._active} ^ {rule.name for rule in active}
            for rule in self._rules.rules:
                if rule.name in begun:
                    self._ledger.turned(rule, now_ns, on=rule in active)
            self._active = active
            self._generation += 1
        if now_ns >= self._sweep_ns:
            self._sweep(now_ns)
            self._sweep_ns = now_ns + _SWEEP_NS
        self._edge_ns = max(now_ns + 1, min((*coming, self._sweep_ns)))

    def _sweep(self, now_ns: int) -> None:
        """Forget what is over."""
        self._flows.sweep(now_ns)
        alive = self._flows.all()
        for state in self._states.values():
            state.rates = {
                key: rate for key, rate in state.rates.items() if key[1] is None or key[1] in alive
            }
            state.remembered = {
                pair: ends_ns for pair, ends_ns in state.remembered.items() if ends_ns > now_ns
            }

    def _apply(self, packet: Packet, flow: Flow, now_ns: int) -> list[Send]:
        reassemble = any(rule.match.reassemble for rule in flow.candidates)
        asked, looked = None, False
        if any(matching.has_contents(rule.match) for rule in flow.candidates):
            asked = matching.look(flow, packet, reassemble=reassemble)
            looked = True
        case = _Case(packet, flow, asked, now_ns, [now_ns], [])
        for rule in flow.candidates:
            if not self._concerns(rule, case):
                continue
            if rule.match.direction not in ("both", "up" if packet.up else "down"):
                continue
            if isinstance(rule.action, Forward):
                break
            self._act(rule, case)
            if not case.dues:
                return case.forged
        for due_ns in case.dues:
            flow.forwarded(packet, due_ns)
        if looked and flow.is_opener(packet):
            flow.candidates = tuple(rule for rule in flow.candidates if not matching.is_settled(rule, flow))
        going = [(due_ns, packet.up, packet.frame) for due_ns in case.dues]
        # what answers the packet races it; what goes its way must come after it
        answers = [send for send in case.forged if send[1] != packet.up]
        behind = [
            (max([at_ns, *case.dues]), up, frame) for at_ns, up, frame in case.forged if up == packet.up
        ]
        return answers + going + behind

    def _concerns(self, rule: Rule, case: _Case) -> bool:
        remembered = self._states[rule.name].remembered
        if remembered and remembered.get(_pair(case.flow), 0) > case.now_ns:
            return True
        return matching.concerns_packet(rule, case.flow, case.packet, case.asked)

    def _act(self, rule: Rule, case: _Case) -> None:
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
                self._stop(rule, "rejected", case)
            case Reset() as how:
                self._reset(rule, how, case)
            case Answer() as how:
                self._answer(rule, how, case)
            case Page() | Redirect() as how:
                self._page(rule, acts.page(how, self._rules.files), case)

    def _rate(self, rule: Rule, how: Throttle, case: _Case) -> Bucket | Queue:
        rates = self._states[rule.name].rates
        key = (case.packet.up, case.flow if how.per == "flow" else None)
        if key not in rates:
            rates[key] = throttled(how)
        return rates[key]

    def _line(self, rule: Rule, how: Impair, case: _Case) -> Line:
        lines = self._states[rule.name].lines
        up = case.packet.up
        if up not in lines:
            lines[up] = Line(how, up=up)
        return lines[up]

    def _reset(self, rule: Rule, how: Reset, case: _Case) -> None:
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

    def _answer(self, rule: Rule, how: Answer, case: _Case) -> None:
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

    def _page(self, rule: Rule, page: bytes, case: _Case) -> None:
        if rule.name in case.flow.done:
            self._swallow(rule, case)
        elif acts.is_request(case.packet, case.flow):
            case.flow.done[rule.name] = case.now_ns
            self._send(case, acts.ended_with(page, case.packet), case.now_ns)
            self._stop(rule, "answered", case)

    def _swallow(self, rule: Rule, case: _Case) -> None:
        """Keep the rest of an answered flow from going on; its end from the inside is acknowledged."""
        self._send(case, acts.farewell(case.packet, case.flow), case.now_ns)
        self._stop(rule, "swallowed", case)

    def _stop(self, rule: Rule, did: str, case: _Case) -> None:
        case.dues = []
        self._note(rule, did, case)

    def _note(self, rule: Rule, did: str, case: _Case, *, due_ns: int | None = None) -> None:
        self._ledger.note(rule, did, case.packet, case.flow, now_ns=case.now_ns, due_ns=due_ns)

    def _remember(self, rule: Rule, seconds: float, case: _Case) -> None:
        remembered = self._states[rule.name].remembered
        if seconds and remembered.get(_pair(case.flow), 0) <= case.now_ns:
            remembered[_pair(case.flow)] = case.now_ns + round(seconds * _S)

    def _send(self, case: _Case, frames: acts.Forged, at_ns: int) -> None:
        """Send forged frames, none before what was forwarded in its direction."""
        for up, frame in frames:
            case.forged.append((max(at_ns, case.flow.due.get(up, 0)), up, frame))


def _pair(flow: Flow) -> tuple[bytes, bytes, int]:
    return flow.opener, flow.responder, flow.port
