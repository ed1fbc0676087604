"""What can be wrong with a request for a page or an object. Each becomes one clear answer in `app`."""


class UnknownDeviceError(LookupError):
    """No device of that id was ever heard."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.device = device


class NotStoringError(RuntimeError):
    """The page works, and what arrives cannot be stored: `fault` says why."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class BadParameterError(ValueError):
    """A parameter of a page's address cannot be read."""

    def __init__(self, *, parameter: str, found: str, allowed: str) -> None:
        super().__init__(f"{parameter}: found {found!r}; allowed is {allowed}")
        self.parameter = parameter
        self.found = found
        self.allowed = allowed
