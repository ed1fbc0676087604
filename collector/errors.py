"""What can go wrong in the collector, each with a name and a message an operator can act on.

A foreign exception (sqlite3, sockets, paho) is translated into one of these once, where it enters. This file
must never import anything of the collector.
"""


class CollectorError(Exception):
    """The collector cannot do what it was asked. The message says what is wrong and what to do."""


class StoreError(CollectorError):
    """The database cannot be opened, read or written."""


class NewerDatabaseError(StoreError):
    """The database was written by a newer version of this software."""


class CollectorDataDirError(CollectorError):
    """The data directory cannot be used: read-only, not a directory, or another collector has it."""


class CollectorDataDirInUseError(CollectorDataDirError):
    """Another process has the data directory."""


class BrokerError(CollectorError):
    """The broker cannot be started."""


class MeasurementServerError(CollectorError):
    """The measurement server cannot be started."""


class HalvesError(CollectorError):
    """A measurement server did not give its halves of tests, or what it gave proves nothing."""


class PortTakenError(CollectorError):
    """Another program listens on the port that was asked for."""


class TrustError(CollectorError):
    """The collector's own identity, or the list of its devices' certificates, cannot be used."""
