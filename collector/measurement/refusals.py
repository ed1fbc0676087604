"""What the measurement server does not do, and how it says so. It must never say more than the one asking may know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRefusal:
    """An HTTP status, one plain sentence, and after how many s it may be tried again (None: not by waiting)."""

    status: int
    sentence: str
    retry_after_s: int | None = None


class RefusedError(Exception):
    """A request that is answered with a refusal."""

    def __init__(self, refusal: HttpRefusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


def refused(status: int, sentence: str, *, retry_after_s: int | None = None) -> RefusedError:
    """Return what is to be raised."""
    return RefusedError(HttpRefusal(status=status, sentence=sentence, retry_after_s=retry_after_s))
