"""How a rung stands, in a few words, for everything that prints one. Pure."""

from collections.abc import Iterable

from firmware.judgement.ladder import RungProgress, RungState
from firmware.language.translator import Translator


def rung_line(state: RungState, translator: Translator) -> str:
    """Return how a rung stands: `3 of 4, best 21.4 ms; gnu: tls_handshake: connection_reset`."""
    if state.tried == 0:
        if state.state is RungProgress.PENDING:
            return translator.say("device.rung-pending")
        return translator.say("device.rung-not-asked")
    counted = {"reached": state.reached, "tried": state.tried + state.waiting}
    if state.best_ns is None:
        line = translator.say("device.rung", **counted)
    else:
        line = translator.say("device.rung-best", best_ns=state.best_ns, **counted)
    return "; ".join([line, *_grouped(state.failures)])


def _grouped(failures: Iterable[str]) -> list[str]:
    """Put targets that failed in the same way together: `connect: network_unreachable × 9`."""
    names_by_reason: dict[str, list[str]] = {}
    for failure in failures:
        name, _, reason = failure.partition(": ")
        names_by_reason.setdefault(reason, []).append(name)
    return [
        f"{names[0]}: {reason}" if len(names) == 1 else f"{reason} × {len(names)}"
        for reason, names in names_by_reason.items()
    ]
