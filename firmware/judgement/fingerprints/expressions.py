"""Regular expressions of fingerprints: compiled so that no pattern, and no page made for one, takes more than about a second.

A dot is any character, an end of a line too, as it is for OONI. Texts with `.*` between them, the form of all that OONI's
lists had in March 2023, are looked for one after the other, over the whole text. Of any other expression, how much of a text it
sees depends on how it can backtrack. Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

STEPS: Final = 50_000_000
"""About how many steps one regular expression may take on one text."""
MAX_TEXT: Final = 262_144
_ANYTHING: Final = r"\.\*\??"
_QUANTIFIER: Final = r"[*+?]|\{\d*,?\d*\}"
_ONE_CHARACTER: Final = rf"(?:\\[^0-9A-Za-z]|\\[dDsSwWnrt]|(?!{_QUANTIFIER})[^\\()|^$\[])(?!{_QUANTIFIER})"
_TEXTS: Final = re.compile(rf"(?:{_ANYTHING}|{_ONE_CHARACTER})+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression: what is looked for one after the other, in the first `room` characters of a text."""

    parts: tuple[re.Pattern[str], ...]
    room: int

    def is_in(self, text: str) -> bool:
        """Return whether `text` carries it."""
        seen, place = text[: self.room], 0
        for part in self.parts:
            found = part.search(seen, place)
            if found is None:
                return False
            place = found.end()
        return True


def compiled(pattern: str) -> Expression:
    """Compile a pattern. Raises `re.error` where it is none, `ValueError` where no text is short enough for it."""
    repeats(pattern)
    whole = re.compile(pattern, re.DOTALL)
    texts = texts_of(pattern)
    if not texts:
        return Expression((whole,), room_for(pattern))
    room = min(MAX_TEXT, STEPS // max(map(len, texts)))
    return Expression(tuple(re.compile(one, re.DOTALL) for one in texts), room)


def texts_of(pattern: str) -> tuple[str, ...]:
    """Return the texts that `pattern` has with `.*` between them; none where it is of another form.

    In each every character is one of the page, so the first place of one leaves the next the most: none is missed.
    """
    if _TEXTS.fullmatch(pattern) is None:
        return ()
    return tuple(filter(None, re.split(_ANYTHING, pattern)))


def room_for(pattern: str) -> int:
    """Return how many characters `pattern` may be shown, so that its worst case stays near `STEPS`.

    Each unbounded repeat multiplies the steps by the text's length, and so does a search without an anchor.
    """
    power = repeats(pattern) + (0 if pattern.startswith(("^", r"\A")) else 1)
    return min(MAX_TEXT, int(STEPS ** (1 / max(1, power))))


def repeats(pattern: str) -> int:
    """Return how many unbounded repeats (`*`, `+`, `{n,}`) a regular expression has.

    Raises `ValueError` where one stands inside another or a reference to a group is used: no text is short enough.
    """
    count, groups, index = 0, [False], 0
    closed = False  # the last thing read was a group with a repeat in it
    while index < len(pattern):
        letter = pattern[index]
        unbounded = letter in "*+" or re.match(r"\{\d*,\d*\}", pattern[index:]) is not None
        if letter == "\\":
            if pattern[index + 1 : index + 2].isdigit() and pattern[index + 1] != "0":
                raise ValueError("a reference to a group")
            index += 1
        elif letter == "[":
            index = _class_end(pattern, index)
        elif letter == "(":
            if pattern.startswith(("(?P=", "(?("), index):
                raise ValueError("a reference to a group")
            groups.append(False)
        elif letter == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            index += 1
            continue
        elif unbounded:
            if closed:
                raise ValueError("a repeat of something that repeats")
            groups[-1] = True
            count += 1
        closed = False
        index += 1
    return count


def _class_end(pattern: str, start: int) -> int:
    """Return the index of the bracket that ends a character class."""
    index = start + 1
    if pattern[index : index + 1] == "^":
        index += 1
    if pattern[index : index + 1] == "]":
        index += 1
    while index < len(pattern) and pattern[index] != "]":
        index += 2 if pattern[index] == "\\" else 1
    return index
