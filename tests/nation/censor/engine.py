"""The censor's mind: one packet in, what is sent instead out. Pure: time is an argument, lots are seeded.

Rules are asked in order. throttle and impair change how the packet goes on and later rules are asked too; so
does an answer or a reset that leaves the packet alone; every other action ends the matter. Where addresses are
translated, rules see the inside's own. This file must never touch a socket, a file or a clock.
"""

from typing import Final

from tests.nation.censor import matching
from tests.nation.censor.carriage import Translate
from tests.nation.censor.doing import Case, Doing, Send
from tests.nation.censor.events import Event, Ledger
from tests.nation.censor.flows import Flow, FlowTable, quick_key
from tests.nation.censor.model import Rule, Rules
from tests.nation.censor.packets import Packet, parse
from tests.nation.censor.stops import Forward
from tests.nation.censor.translation import Translator

__all__ = ["Engine", "Send"]

_S: Final = 10**9
_SWEEP_NS: Final = 10 * _S


class Engine:
    """Applies rules to packets. `wall_ahead_ns` is how far the wall clock is ahead of the one that `now_ns` goes by."""

    def __init__(self, rules: Rules, *, now_ns: int, wall_ahead_ns: int = 0) -> None:
        self._rules = Rules()
        self._flows = FlowTable()
        self._ledger = Ledger()
        self._doing = Doing(self._ledger, wall_ahead_ns=wall_ahead_ns)
        self._translator: tuple[str, Translator] | None = None
        self._active: tuple[Rule, ...] = ()
        self._generation = 0
        self._start_ns = self._edge_ns = self._sweep_ns = now_ns
        self.change(rules, now_ns=now_ns)

    def change(self, rules: Rules, *, now_ns: int) -> None:
        """Use other rules from now on; a rule that stays as it was keeps its memory, the timetable begins anew."""
        kept = {rule.name for rule in rules.rules if rule in self._rules.rules}
        self._doing.change(rules.rules, kept, rules.files)
        if self._translator is not None and self._translator[0] not in kept:
            self._translator = None
        for flow in self._flows.all():
            flow.marks &= kept
            flow.done = {name: value for name, value in flow.done.items() if name in kept}
            flow.looked = {name: value for name, value in flow.looked.items() if name in kept}
            flow.lots = {name: value for name, value in flow.lots.items() if name in kept}
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
        flow = self._flows.get(key) if self._translator is None else None
        if flow is None or flow.candidates or flow.generation != self._generation:
            return False
        flow.last_ns = now_ns
        return True

    def handle(self, frame: bytes, *, up: bool, now_ns: int) -> list[Send] | None:
        """Return what to send for a frame, complete as on a wire; None to forward it as it is at once."""
        if self.idle(now_ns):
            return None
        rule = next((one for one in self._active if isinstance(one.action, Translate)), None)
        if rule is None:
            return self._handled(frame, up=up, now_ns=now_ns)
        translator = self._translator_of(rule)
        inner = frame if up else translator.back(frame, now_ns)
        if inner is None:
            return []
        made = self._handled(inner, up=up, now_ns=now_ns)
        found: list[Send] = []
        for due_ns, goes_up, one in [(now_ns, up, inner)] if made is None else made:
            sent = translator.out(one, now_ns) if goes_up else one
            if sent is not None:
                found.append((due_ns, goes_up, sent))
        return found

    def _translator_of(self, rule: Rule) -> Translator:
        assert isinstance(rule.action, Translate)
        if self._translator is None or self._translator[0] != rule.name:
            self._translator = rule.name, Translator(rule.action)
        return self._translator[1]

    def _handled(self, frame: bytes, *, up: bool, now_ns: int) -> list[Send] | None:
        """Return what the rules make of a frame as the inside sends or gets it; None where it stays as it is."""
        packet = parse(frame, up)
        if packet is None:
            return None
        flow = self._flows.of(packet, now_ns)
        if flow.generation != self._generation:
            flow.candidates = tuple(
                rule
                for rule in self._active
                if not isinstance(rule.action, Translate) and matching.concerns_flow(rule, flow)
            )
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
        self._doing.sweep(now_ns, self._flows.all())

    def _apply(self, packet: Packet, flow: Flow, now_ns: int) -> list[Send]:
        reassemble = any(rule.match.reassemble for rule in flow.candidates)
        asked, looked = None, False
        if any(matching.has_contents(rule.match) for rule in flow.candidates):
            asked = matching.look(flow, packet, reassemble=reassemble)
            looked = True
        case = Case(packet, flow, asked, now_ns, [now_ns], [])
        for rule in flow.candidates:
            if not self._doing.concerns(rule, case):
                continue
            if isinstance(rule.action, Forward):
                break
            self._doing.act(rule, case)
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
