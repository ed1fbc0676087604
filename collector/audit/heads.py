"""Digests of the chain that somebody kept elsewhere, as they come from the command line or a file. Pure.

A file may be anything with `NUMBER:DIGEST` in it: a list, the collector's own log, what audits printed.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from collector.store.chain import Head
from firmware.commands.errors import BadInputError

_HEAD: Final = re.compile(r"(?<![0-9a-f:])([1-9][0-9]{0,17}):([0-9a-f]{64})(?![0-9a-f])")


def kept_heads(words: Iterable[str], files: Iterable[Path]) -> tuple[Head, ...]:
    """Return what is in `words` (`NUMBER:DIGEST` each) and in files, each once, by number. Raises `BadInputError`."""
    found: set[tuple[int, str]] = set()
    for word in words:
        match = _HEAD.fullmatch(word.strip())
        if match is None:
            raise BadInputError(
                f"--digest: found {word!r}; allowed is NUMBER:DIGEST, the digest as 64 hexadecimal digits"
            )
        found.add((int(match[1]), match[2]))
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except OSError as error:
            raise BadInputError(f"--digests: {file}: {error.strerror}") from error
        matches = {(int(match[1]), match[2]) for match in _HEAD.finditer(text)}
        if not matches:
            raise BadInputError(f"--digests: {file}: no NUMBER:DIGEST is in it")
        found |= matches
    return tuple(Head(number=number, digest=digest) for number, digest in sorted(found))
