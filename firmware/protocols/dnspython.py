"""The parts of dnspython that we use, without what it imports for the parts that we do not.

Import it inside functions: it costs the worker 6 MB, which may never ask a name. Our names are ASCII already, so
neither an `idna` package is searched for, by the metadata of all packages there are, nor Python's own loaded.
"""

from firmware.lean import held_back

with held_back("importlib.metadata"), held_back("encodings.idna"):
    import dns._features

    dns._features.force("idna", enabled=False)  # noqa: SLF001  # its own way to spare the search
    import dns.message
    import dns.rdatatype

__all__ = ["dns"]
