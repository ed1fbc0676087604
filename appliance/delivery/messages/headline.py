"""What a device says first after a cut: which verdicts it came to, and since when each has held. Pure.

Told in the hello, ahead of every record, so that whoever watches knows what happened while minutes of backlog are
still to come. It must never say more than the rounds it is made of: where the round of a transition is not among them, its
error is not known.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from firmware.model.record import Record
from firmware.wire.messages import MAX_TRANSITIONS, Hello, Transition, encode_hello

HELLO_BYTES: Final = 900
"""What a hello with its headline may have; with the envelope below 1 kB."""


def transitions(rounds: Sequence[Record]) -> tuple[Transition, ...]:
    """Return the last transitions of the verdict, newest first; `rounds` are the rounds' conclusions, newest first."""
    judged = [record for record in rounds if record.verdict is not None]
    found: list[Transition] = []
    for _, same in groupby(judged, key=lambda record: record.verdict and record.verdict.verdict):
        first = list(same)[-1]
        assert first.verdict is not None
        told = first.outcome.detail.get("since_utc_ns")
        began_utc_ns = max(0, first.start.utc_ns)
        since_utc_ns = told if isinstance(told, int) and 0 < told < 2**63 else began_utc_ns
        # A verdict is reached at its round's end: then the round's clock is the one that told the time.
        is_onset = since_utc_ns >= began_utc_ns
        found.append(
            Transition(
                since_utc_ns=since_utc_ns,
                error_ns=first.start.error_ns if is_onset else None,
                quality=first.start.quality,
                verdict=first.verdict.verdict,
                rule_id=first.verdict.rule_id,
            )
        )
        if len(found) == MAX_TRANSITIONS:
            break
    return tuple(found)


def with_headline(hello: Hello, rounds: Sequence[Record]) -> Hello:
    """Return `hello` with as many transitions, newest first, as leave it within `HELLO_BYTES`; it may be none."""
    newest = transitions(rounds)
    while newest:
        headed = replace(hello, headline=newest)
        if len(encode_hello(headed)) <= HELLO_BYTES:
            return headed
        newest = newest[:-1]
    return hello
