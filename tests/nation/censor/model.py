"""The rules of a censor as data: what a rule matches, what it does, when it is in force. Pure.

Every key a rules file may have is declared with `setting`, so the reader, the faults it reports and the
lists in docs/how-to/censor.md say the same. This file must never look at a packet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tests.nation.censor.carriage import Impair, Throttle, Translate
from tests.nation.censor.forgeries import Accept, Answer, Echo, Page, Redirect, Reset, Time
from tests.nation.censor.match import Match
from tests.nation.censor.stops import Drop, Forward, ProtocolFilter, Reject
from tests.nation.censor.timetable import Timetable

Action: TypeAlias = (
    Forward
    | Drop
    | Reject
    | Reset
    | Answer
    | Page
    | Redirect
    | Accept
    | Echo
    | Time
    | Throttle
    | Impair
    | ProtocolFilter
    | Translate
)

ACTIONS: Final[dict[str, type[Action]]] = {
    "forward": Forward,
    "drop": Drop,
    "reject": Reject,
    "reset": Reset,
    "answer": Answer,
    "page": Page,
    "redirect": Redirect,
    "accept": Accept,
    "echo": Echo,
    "time": Time,
    "throttle": Throttle,
    "impair": Impair,
    "protocol_filter": ProtocolFilter,
    "translate": Translate,
}
"""What a rule may `do`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `name` is unique in its file."""

    name: str
    match: Match
    action: Action
    timetable: Timetable = field(default_factory=Timetable)

    @property
    def do(self) -> str:
        """The action's word."""
        return next(word for word, cls in ACTIONS.items() if cls is type(self.action))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules of a file, in order. `files` are the contents of the files that they name."""

    rules: tuple[Rule, ...] = ()
    files: Mapping[Path, bytes] = field(default_factory=dict)
