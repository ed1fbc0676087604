"""Every statement that may be made: its code, its parameters, and which of these the sentence counts. Values only.

The reference of evidence is made of this table and of the English catalogue. A code is never re-used for something
else, and none is removed: records that carry it outlive the software.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementForm:
    """What statements of one code hold. `counts` names the parameter that the sentence's plural goes by, "" for none."""

    parameters: tuple[str, ...] = ()
    counts: str = ""


_LOST: Final = StatementForm(parameters=("service", "lost", "tried"), counts="tried")
_PLATFORM: Final = StatementForm(parameters=("platform", "blocked", "tried", "networks"), counts="tried")
_GROUP: Final = StatementForm(parameters=("name", "lost", "well"))

EVIDENCE: Final[Mapping[str, StatementForm]] = {
    # about any verdict
    "how-sure": StatementForm(parameters=("probability", "countries"), counts="countries"),
    "suspected": StatementForm(
        parameters=("verdict", "rule_id", "probability", "countries"), counts="countries"
    ),
    # about a round
    "nothing-measured": StatementForm(),
    "rung": StatementForm(parameters=("rung", "reached", "tried")),
    "rung-best": StatementForm(parameters=("rung", "reached", "tried", "best_ns")),
    "rung-networks": StatementForm(parameters=("rung", "reached", "tried", "networks"), counts="networks"),
    "rung-networks-best": StatementForm(
        parameters=("rung", "reached", "tried", "networks", "best_ns"), counts="networks"
    ),
    "not-reached": StatementForm(parameters=("rung", "target", "failure")),
    "not-reached-in-step": StatementForm(parameters=("rung", "target", "operation", "failure")),
    "silent-so-far": StatementForm(parameters=("rung", "target")),
    "connected-so-far": StatementForm(parameters=("rung", "target")),
    "family": StatementForm(parameters=("family", "reached", "networks"), counts="networks"),
    "target-verdict": StatementForm(parameters=("target", "verdict", "rule_id", "confidence")),
    "round-before": StatementForm(parameters=("age_s", "verdict", "rule_id")),
    "taken-to-be-silent": StatementForm(parameters=("targets", "waited_s"), counts="targets"),
    # about one page
    "page-proven": StatementForm(parameters=("url", "status")),
    "page-unproven": StatementForm(parameters=("url", "status")),
    "page-handshake": StatementForm(parameters=("url",)),
    "page-not-measured": StatementForm(parameters=("url",)),
    "page-failed": StatementForm(parameters=("url", "step", "failure")),
    "page-failed-elsewhere": StatementForm(parameters=("url", "step", "failure", "host")),
    "name-resolved": StatementForm(parameters=("hostname", "resolver", "addresses")),
    "name-without-address": StatementForm(parameters=("hostname", "resolver")),
    "name-failed": StatementForm(parameters=("hostname", "resolver", "failure")),
    "name-answered-again": StatementForm(parameters=("hostname", "resolver", "addresses")),
    "innocuous-name-answered": StatementForm(parameters=("address",)),
    "innocuous-name-failed": StatementForm(parameters=("address", "failure")),
    "own-name-again": StatementForm(parameters=("address", "failure")),
    "reference-handshakes": StatementForm(parameters=("tried", "timed_out", "resent"), counts="tried"),
    "failed-beyond-loss": StatementForm(parameters=("failed", "rounds", "since_s"), counts="rounds"),
    "fingerprint": StatementForm(parameters=("name", "location", "confidence")),
    "fingerprint-of-list": StatementForm(
        parameters=("name", "location", "confidence", "source", "list", "day", "digest")
    ),
    "handshake-slow": StatementForm(parameters=("address", "bytes"), counts="bytes"),
    "transfer-slow": StatementForm(parameters=("bytes", "last_ns"), counts="bytes"),
    "transfer-stopped": StatementForm(parameters=("bytes", "last_ns"), counts="bytes"),
    "vantage": StatementForm(parameters=("source",)),
    "vantage-last-known": StatementForm(parameters=("source", "age_s")),
    "vantage-nobody": StatementForm(),
    "vantage-unreachable": StatementForm(),
    "vantage-after": StatementForm(),
    "vantage-changed": StatementForm(),
    "vantage-too-old": StatementForm(parameters=("age_s",)),
    "vantage-name-resolved": StatementForm(parameters=("addresses",), counts="addresses"),
    "vantage-name-failed": StatementForm(parameters=("failure",)),
    "vantage-name-not-asked": StatementForm(),
    "vantage-page-answered": StatementForm(parameters=("status",)),
    "vantage-page-failed": StatementForm(parameters=("failure",)),
    "vantage-page-not-asked": StatementForm(),
    "second-vantage-reached": StatementForm(parameters=("before_s",)),
    "second-vantage-failed": StatementForm(parameters=("failure", "before_s")),
    "reached-inside": StatementForm(parameters=("before_s",)),
    "no-second-view": StatementForm(),
    "round-reached": StatementForm(),
    "round-not-reached": StatementForm(),
    "round-verdict": StatementForm(parameters=("verdict", "rule_id")),
    "country-verdict": StatementForm(parameters=("verdict", "rule_id")),
    "not-judged": StatementForm(parameters=("test",)),
    # about a paired test
    "paired-runs": StatementForm(parameters=("blocks", "factor", "low", "high", "p"), counts="blocks"),
    "paired-frozen": StatementForm(parameters=("bytes",), counts="bytes"),
    "paired-rate": StatementForm(parameters=("bytes_per_s", "low_bytes_per_s", "high_bytes_per_s")),
    "paired-control-at-once": StatementForm(parameters=("factor",)),
    "paired-control-elsewhere": StatementForm(parameters=("factor",)),
    "paired-control-washed-out": StatementForm(parameters=("factor",)),
    "paired-seen-below": StatementForm(parameters=("below_bytes_per_s", "burst_bytes")),
    "paired-not-significant": StatementForm(),
    "paired-control-slowed": StatementForm(),
    "paired-wash-out-too-short": StatementForm(),
    "paired-random-name-slow": StatementForm(),
    "paired-runs-failed": StatementForm(),
    "paired-out-of-region": StatementForm(),
    "paired-not-swapped": StatementForm(),
    "paired-not-confirmed": StatementForm(),
    # about many devices
    "devices": StatementForm(parameters=("devices", "well", "lost", "unclear", "silent"), counts="devices"),
    "silent-together": StatementForm(parameters=("silent",), counts="silent"),
    "network": _GROUP,
    "kind": _GROUP,
    "region": _GROUP,
    "share-lost": StatementForm(parameters=("share",)),
    "vantage-well": StatementForm(),
    "vantage-lost": StatementForm(),
    "vantage-absent": StatementForm(),
    "neighbours": StatementForm(parameters=("share",)),
    "service-lost-outside-too": _LOST,
    "service-lost-inside-only": _LOST,
    "service-lost-unseen": _LOST,
    "platform-blocked": _PLATFORM,
    "platform-refused-or-blocked": _PLATFORM,
    "platform-blocked-in-network": StatementForm(
        parameters=("platform", "network", "blocked", "tried"), counts="tried"
    ),
    "allow-listed": StatementForm(parameters=("listed", "tried", "networks"), counts="tried"),
    "kind-allow-listed": StatementForm(parameters=("kind", "devices"), counts="devices"),
    "network-filtered": StatementForm(parameters=("network", "devices"), counts="devices"),
}
"""What a verdict rests on."""

GAPS: Final[Mapping[str, StatementForm]] = {
    "running": StatementForm(),
    "budget": StatementForm(),
    "stalled": StatementForm(),
    "stopped": StatementForm(),
    "switched-off": StatementForm(),
    "told-to-stop": StatementForm(),
    "worker-ended": StatementForm(parameters=("how",)),
    "no-worker": StatementForm(),
    "read-too-slowly": StatementForm(),
    "not-stored": StatementForm(parameters=("message",)),
    "vantage-not-running": StatementForm(),
    "sweep-failed": StatementForm(parameters=("message",)),
    "sweep-unanswered": StatementForm(parameters=("unanswered", "tried"), counts="tried"),
}
"""Why something was not measured."""

NO_VANTAGE: Final[Mapping[str, StatementForm]] = {
    "did-not-look": StatementForm(),
    "changed": StatementForm(),
    "one-sided": StatementForm(),
}
"""Why no view from outside stands beside a verdict."""

FORMS: Final[Mapping[str, Mapping[str, StatementForm]]] = {
    "evidence": EVIDENCE,
    "gap": GAPS,
    "no-vantage": NO_VANTAGE,
}
"""Family, as the catalogue's keys begin → its statements."""
