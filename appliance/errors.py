"""The one kind of error the appliance raises: what is wrong, where, and what to do about it.

The command prints the text as it stands and exits; the daemon shows it and goes on when it can. A subclass
adds a name to catch, never another form of text.
"""


class ApplianceError(Exception):
    """Something on the device is not as it must be.

    `what` is the fault, `where` the path or address it is at, `remedy` what the reader can do.
    """

    def __init__(self, what: str, *, where: object, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what = what
        self.where = str(where)
        self.remedy = remedy
