"""What a play brought, read from the device's own outbox in the same way for both: each round's verdict and measurements."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.outbox.box import Outbox
from firmware.model.record import Record, from_json

_MS: Final = 1e6
_MOST: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement of a round: its target, its failure and the step that failed, and its times in ms where it had them."""

    target: str
    group: str
    """The rung it is on."""
    failure: str
    step: str
    connect_ms: float | None
    handshake_ms: float | None
    retransmitted: bool = False
    """Whether its connect's SYN went out again: that time is of the last SYN in one play and of all in the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: its verdict, and what was measured."""

    verdict: str
    rule_id: str
    measured: tuple[Measured, ...]


def rounds_in(outbox: Path) -> list[Round]:
    """Return the rounds of an outbox that are concluded, in order."""
    with Outbox.open_read_only(outbox) as box:
        records = [from_json(json.loads(row.body)) for row in box.oldest(_MOST)]
    return rounds_of(records)


def rounds_of(records: Sequence[Record]) -> list[Round]:
    """Return the rounds among records that are concluded, in order."""
    by_round: dict[int, list[Record]] = {}
    verdicts: dict[int, Record] = {}
    for record in records:
        if record.round_id is None:
            continue
        if record.verdict is not None:
            verdicts[record.round_id] = record
        elif record.rung is not None:
            by_round.setdefault(record.round_id, []).append(record)
    found = []
    for number, concluded in sorted(verdicts.items()):
        assert concluded.verdict is not None
        found.append(
            Round(
                verdict=str(concluded.verdict.verdict),
                rule_id=concluded.verdict.rule_id,
                measured=tuple(_measured(one) for one in by_round.get(number, ())),
            )
        )
    return found


def _measured(record: Record) -> Measured:
    outcome = record.outcome
    connect = outcome.phases.get("connect")
    return Measured(
        target=record.target_name,
        group=str(record.rung),
        failure=outcome.failure or "",
        step=outcome.failed_operation or "",
        connect_ms=_ms_of(outcome.phases, "connect"),
        handshake_ms=_ms_of(outcome.phases, "tls_handshake"),
        retransmitted=connect is not None and connect.stamp != "tcp_info",
    )


def _ms_of(phases: Mapping[str, Any], step: str) -> float | None:
    return None if step not in phases else round(phases[step].ns / _MS, 1)


def to_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return rounds as JSON can hold them."""
    return [
        {
            "verdict": one.verdict,
            "rule_id": one.rule_id,
            "measured": [
                [
                    each.target,
                    each.group,
                    each.failure,
                    each.step,
                    each.connect_ms,
                    each.handshake_ms,
                    each.retransmitted,
                ]
                for each in one.measured
            ],
        }
        for one in rounds
    ]


def from_rounds_json(value: Sequence[Mapping[str, Any]]) -> list[Round]:
    """Return what `to_json` wrote."""
    return [
        Round(
            verdict=one["verdict"],
            rule_id=one["rule_id"],
            measured=tuple(
                Measured(
                    target=each[0],
                    group=each[1],
                    failure=each[2],
                    step=each[3],
                    connect_ms=each[4],
                    handshake_ms=each[5],
                    retransmitted=each[6],
                )
                for each in one["measured"]
            ),
        )
        for one in value
    ]
