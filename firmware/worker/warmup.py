"""Loads what coming tasks will need while none is due: the first load of a library takes a tenth of a second.

This file must never load anything for a test that nobody asked for: an idle worker stays small.
"""

import importlib
from collections.abc import Mapping
from typing import Final

from firmware.measurements import EVERY_MEASUREMENT

_TLS: Final = "firmware.protocols.tls_stream"
LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "tls": (_TLS,),
    "http": (_TLS, "hashlib", "h11", "urllib.parse"),
    "transfer": ("firmware.protocols.transfer_exchange",),
    "web_connectivity": (_TLS, "hashlib", "h11", "urllib.parse"),
}
"""Test → the modules it imports when it is first run, beside its own."""


def load(test: str) -> None:
    """Load what `test` will need, the system's authorities too."""
    EVERY_MEASUREMENT.get(test)  # loads the test's own module
    names = LIBRARIES.get(test, ())
    for name in names:
        importlib.import_module(name)
    if _TLS in names:
        from firmware.protocols.tls_bio import verifying_context  # noqa: PLC0415  # OpenSSL costs the worker 6 MB

        verifying_context(())
