"""How a language writes numbers: its digits, its separators. Here the English way; whoever shows others hands theirs in."""

from typing import Final, Protocol

ENGLISH: Final = "en"


class Numbers(Protocol):
    """How a language writes numbers."""

    def decimal(self, value: float, places: int) -> str:
        """Return `value` grouped, with that many decimals."""
        ...


class EnglishNumbers:
    """`4,211` and `0.25`, as the CLDR has them for English (a test compares)."""

    def decimal(self, value: float, places: int) -> str:
        """Return `value` grouped, with that many decimals."""
        return f"{value:,}" if isinstance(value, int) and not places else f"{value:,.{places}f}"


def latin_numbers(_language: str) -> Numbers:
    """Return the English way for every language: what a device's commands use, which have no tables of others."""
    return EnglishNumbers()
