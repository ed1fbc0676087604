"""Whether two sets of addresses for one name agree, as OONI says it: an address or a network in common. Pure.

The networks' numbers are those that the measurement itself carries (answers' `asn`, the helper's `ip_info`); nothing
here looks one up.
"""

from collections.abc import Collection, Mapping

from firmware.ooni.measurement import OoniMeasurement


def asns_of(measurement: OoniMeasurement) -> dict[str, int]:
    """Return every network number that the measurement says, by address."""
    found: dict[str, int] = {}
    for query in (*measurement.queries, *measurement.duplicates):
        found.update(query.asns)
    if measurement.control is not None:
        found.update(measurement.control.asns)
    return found


def agree(ours: Collection[str], theirs: Collection[str], asns: Mapping[str, int]) -> bool:
    """Return whether the two have an address or a network in common."""
    if set(ours) & set(theirs):
        return True
    return bool(_numbers(ours, asns) & _numbers(theirs, asns))


def are_known(addresses: Collection[str], asns: Mapping[str, int]) -> bool:
    """Return whether the network of every address is known."""
    return all(address in asns for address in addresses)


def _numbers(addresses: Collection[str], asns: Mapping[str, int]) -> set[int]:
    return {asns[address] for address in addresses if address in asns}
