"""The two files that say how this host resolves names: hosts(5) and resolv.conf(5)'s `options`. Pure parsers."""

import re
from dataclasses import dataclass
from typing import Final

from firmware.net.targets import family_of

_OPTION: Final = re.compile(r"(attempts|timeout):([0-9]{1,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverOptions:
    """How hard to try: `attempts` rounds over all resolvers, `timeout_s` for each. The C library's defaults and caps."""

    attempts: int = 2
    timeout_s: int = 5


def parse_resolver_options(text: str) -> ResolverOptions:
    """Read the `options` lines of resolv.conf(5); the last of each wins, as in the C library."""
    found = {"attempts": 2, "timeout": 5}
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "options":
            found.update(
                {match[1]: int(match[2]) for word in words[1:] if (match := _OPTION.fullmatch(word))}
            )
    return ResolverOptions(
        attempts=min(max(found["attempts"], 1), 5), timeout_s=min(max(found["timeout"], 1), 30)
    )


def parse_hosts(text: str, name: str) -> tuple[str, ...]:
    """Return the addresses that hosts(5) gives `name`, in the file's order, each once."""
    wanted = name.lower().removesuffix(".")
    found: dict[str, None] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2 and family_of(words[0]) and wanted in (word.lower() for word in words[1:]):
            found[words[0]] = None
    return tuple(found)
