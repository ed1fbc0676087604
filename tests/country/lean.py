"""What makes a country cheap to play and changes nothing in it: the product's own functions, remembered or asked later.

What is remembered are functions of their arguments alone, asked for the same few things a million times; what is put
off is what nobody looks at in the end. This file must never change what a function returns.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final
from unittest import mock

from appliance.storage.tables import packed
from firmware.judgement.fingerprints import table
from firmware.judgement.observation import from_record
from firmware.judgement.round import from_records as from_records_module
from firmware.judgement.site import places
from firmware.judgement.site.from_record import evidence_of
from firmware.net import targets
from firmware.protocols import bogons, dns_names, resolver_files

_KEPT: Final = 4_096
_PACKAGES: Final = ("firmware", "appliance", "collector", "tests")
_PURE: Final = (
    table.canonical,
    places.is_address,
    places.place,
    targets.family_of,
    targets.parse_host_port,
    bogons.is_bogon,
    dns_names.escaped,
    dns_names.write_name,
    resolver_files.parse_hosts,
    resolver_files.parse_resolver_options,
)


class _ById:
    """A function of one value that never changes, remembered by which value it is; the last so many."""

    def __init__(self, ask: Callable[[Any], Any], *, key: Callable[[Any], Any] = lambda value: value) -> None:
        self._ask = ask
        self._key = key
        self._known: dict[tuple[int, str], tuple[object, Any]] = {}

    def __call__(self, value: Any) -> Any:
        """Return what the function returns."""
        of = self._key(value)
        # Whoever is kept here is kept alive, so that no other value has its number.
        known = self._known.get((id(of), name := getattr(value, "target_name", "")))
        if known is None:
            if len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[id(of), name] = known = (of, self._ask(value))
        return known[1]


@contextmanager
def lean() -> Iterator[None]:
    """Have the product cost less."""
    with ExitStack() as stack:
        for one in _PURE:
            remembered = lru_cache(maxsize=8192)(one)
            for module in _modules_with(one):
                stack.enter_context(mock.patch.object(module, one.__name__, remembered))
        stack.enter_context(mock.patch.object(packed, "pack", _unpacked))
        evidence = _ById(evidence_of, key=lambda record: record.outcome)
        stack.enter_context(mock.patch.object(from_records_module, "evidence_of", evidence))
        observed = _ById(from_record)
        for module in _modules_with(from_record):
            stack.enter_context(mock.patch.object(module, "from_record", observed))
        gc.disable()  # little of what a country makes is garbage in circles
        stack.callback(gc.enable)
        yield


def _unpacked(body: str, **_: object) -> str:
    """Return what an outbox stores as rows of earlier versions stood there: no card is to be spared here."""
    return body


def _modules_with(function: Callable[..., Any]) -> list[Any]:
    """Return the modules that call a function by its own name."""
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.split(".")[0] in _PACKAGES and getattr(module, function.__name__, None) is function
    ]
