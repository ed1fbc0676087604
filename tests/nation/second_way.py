"""The second way of the collector's machine: an address of another network, and a line by which what leaves from it goes.

As a tunnel or a second uplink is brought to a machine in docs/how-to/second-vantage.md: a table of routes and a rule for it.
Namespaces only.
"""

from typing import Final

from tests import namespaces
from tests.nation.atlas import BY_NAME, SECOND_VANTAGE

_NODE: Final = "centre"
_TABLE: Final = 100
_NEAR: Final = "10.1.0.0"
_FAR: Final = "10.1.0.1"


def lay(network: str) -> str:
    """Lay the way to `network` and return the address, one of its own; in `centre` itself there is only the address."""
    address = BY_NAME[network].address(SECOND_VANTAGE)
    namespaces.ip(f"addr add {address}/32 dev lo", node=_NODE)
    if network != _NODE:
        namespaces.wire(
            "second",
            network,
            near=f"{_NEAR}/31",
            far=f"{_FAR}/31",
            near_node=_NODE,
            far_interface="to-centre",
        )
        namespaces.ip(f"route add {address}/32 via {_NEAR} dev to-centre", node=network)
        namespaces.ip(f"route add default via {_FAR} dev second table {_TABLE}", node=_NODE)
        namespaces.ip(f"rule add from {address} table {_TABLE}", node=_NODE)
    return address
