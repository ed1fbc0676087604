"""The nonce: what names one transfer with a measurement server, in the device's record and in the server's half. Pure.

A record of a test that asks a measurement server has it as `detail.nonce`, drawn anew for each transfer; by it the collector
finds the server's half of the test. This file must never draw one: what is drawn depends on where from.
"""

import re
from collections.abc import Mapping
from typing import Final

from firmware.model.jsontypes import JsonValue

KEY: Final = "nonce"
"""Where it stands in a record's `detail`."""
PATTERN: Final = re.compile(r"[0-9a-f]{16,64}")
FORM: Final = "16 to 64 of the digits 0-9 and a-f"


def nonce_in(detail: Mapping[str, JsonValue]) -> str | None:
    """Return the nonce that a record's detail names, None where it names none that is one."""
    found = detail.get(KEY)
    return found if isinstance(found, str) and PATTERN.fullmatch(found) else None
