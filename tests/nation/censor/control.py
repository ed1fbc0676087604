"""The control socket from both ends: a client sends a whole rules file, and gets back whether it is used."""

import json
import os
import socket
from pathlib import Path
from typing import Final

from firmware.model.jsontypes import JsonObject

_TIMEOUT_S: Final = 30


def listener(path: Path) -> socket.socket:
    """Return the socket at `path`, bound anew. Raises `OSError`."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here = os.open(path.parent, os.O_PATH)  # a socket's path may have 107 bytes, a folder's any number
    try:
        sock.bind(f"/proc/self/fd/{here}/{path.name}")
        sock.listen(8)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(here)
    return sock


def change(path: Path, text: bytes) -> JsonObject:
    """Send rules to the censor at `path`; return its answer: `ok` with `rules`, or `faults`. Raises `OSError`."""
    here = os.open(path.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_TIMEOUT_S)
            sock.connect(f"/proc/self/fd/{here}/{path.name}")
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while data := sock.recv(65536):
                answer += data
    finally:
        os.close(here)
    made: JsonObject = json.loads(answer)
    return made
