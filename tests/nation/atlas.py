"""The made country and the world around it, as a table: networks, what stands in them, and under which names.

Pure: nothing is built here. The networks are a tree, the transit network abroad its root; what passes between two
goes over the links in between, so a censor on `border` sees all that leaves the country, one on `north` all
that leaves one provider. Addresses look public on purpose (a private answer for a public name is evidence); they
exist only inside a scenario's namespaces, and nothing here may be used outside of them.
"""

from dataclasses import dataclass
from typing import Final

COUNTRY: Final = "xn"
"""A code that ISO 3166-1 leaves to its users, and the ending of the country's names; those abroad end in `out`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network and the network it hangs on (`parent`, empty for the root).

    It has an IPv4 /24 and an IPv6 /48. `kind`: transit, access, mobile, site.
    """

    name: str
    parent: str
    asn: int
    label: str
    four: str
    six: str
    kind: str = "site"

    @property
    def prefix4(self) -> str:
        """Return its IPv4 prefix."""
        return f"{self.four}.0/24"

    @property
    def prefix6(self) -> str:
        """Return its IPv6 prefix."""
        return f"{self.six}::/48"

    def address(self, number: int, family: int = 4) -> str:
        """Return its host `number`."""
        return f"{self.four}.{number}" if family == 4 else f"{self.six}::{number}"


NETWORKS: Final[tuple[Network, ...]] = (
    Network(name="world", parent="", asn=65001, label="Transit abroad", four="62.115.1", six="2a02:c1", kind="transit"),
    Network(name="region", parent="world", asn=65002, label="Transit to the country and its neighbour", four="62.115.2", six="2a02:c2", kind="transit"),
    Network(name="border", parent="region", asn=65010, label="International gateway", four="78.38.1", six="2a03:c10", kind="transit"),
    Network(name="ix", parent="border", asn=65011, label="National exchange", four="78.39.1", six="2a03:c11", kind="transit"),
    Network(name="north", parent="ix", asn=65021, label="North Telecom", four="5.160.1", six="2a04:c21", kind="access"),
    Network(name="south", parent="ix", asn=65022, label="South Cable", four="5.161.1", six="2a04:c22", kind="access"),
    Network(name="mobile", parent="ix", asn=65023, label="National Mobile", four="5.162.1", six="2a04:c23", kind="mobile"),
    Network(name="mobile2", parent="ix", asn=65024, label="Second Mobile", four="5.163.1", six="2a04:c24", kind="mobile"),
    Network(name="neighbour", parent="region", asn=65071, label="Neighbour Telecom", four="46.70.1", six="2a04:c71", kind="access"),
    Network(name="bank", parent="ix", asn=65031, label="The bank", four="185.143.1", six="2a05:c31"),
    Network(name="news", parent="ix", asn=65032, label="The news", four="185.147.1", six="2a05:c32"),
    Network(name="shop", parent="ix", asn=65033, label="The shop", four="185.188.1", six="2a05:c33"),
    Network(name="uni", parent="world", asn=65041, label="A university", four="130.89.1", six="2a06:c41"),
    Network(name="foundation", parent="world", asn=65042, label="A foundation", four="209.51.1", six="2a06:c42"),
    Network(name="registry", parent="world", asn=65043, label="A registry", four="193.0.1", six="2a06:c43"),
    Network(name="cdn", parent="world", asn=65044, label="A content network", four="151.101.1", six="2a06:c44"),
    Network(name="social", parent="world", asn=65051, label="Social", four="157.240.1", six="2a07:c51"),
    Network(name="video", parent="world", asn=65052, label="Video", four="142.250.1", six="2a07:c52"),
    Network(name="messenger", parent="world", asn=65053, label="Messenger", four="149.154.1", six="2a07:c53"),
    Network(name="pages", parent="world", asn=65054, label="A web host", four="95.216.1", six="2a07:c54"),
    Network(name="pubdns", parent="world", asn=65061, label="A public resolver", four="8.8.8", six="2a08:c61"),
    Network(name="names", parent="world", asn=65062, label="Name servers abroad", four="192.33.1", six="2a08:c62"),
    Network(name="centre", parent="world", asn=65063, label="The collector", four="116.203.1", six="2a08:c63"),
    Network(name="exit", parent="world", asn=65025, label="An exit abroad, with addresses of the country", four="5.164.1", six="2a04:c25"),
)  # fmt: skip
"""All of them, parents first."""

BY_NAME: Final = {network.name: network for network in NETWORKS}
ACCESS: Final = ("north", "south", "mobile", "mobile2", "neighbour")
"""Where homes may stand; the last is in the country next door."""
NEXT_DOOR: Final = "xo"

RESOLVER: Final = 53
"""The host number of an access network's resolver."""
PUBLIC_RESOLVER: Final = BY_NAME["pubdns"].address(8)
NAME_SERVER: Final = BY_NAME["names"].address(53)
HOME_OUTER: Final = 100
"""The host number, in an access network, of what home 0's router would translate to; home 1 has the next, and so on."""
CARRIER_OUTER: Final = 200
"""The same of a carrier's own translation."""
COLLECTOR: Final = BY_NAME["centre"].address(10)
SECOND_VANTAGE: Final = 77
"""The host number, in the network that it leaves by, of the second address of the collector's machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web site: the host `number` of a network, under one or more names, on ports 80 and 443."""

    network: str
    number: int
    names: tuple[str, ...]

    @property
    def addresses(self) -> tuple[str, str]:
        """Return its IPv4 and its IPv6 address."""
        network = BY_NAME[self.network]
        return network.address(self.number), network.address(self.number, 6)


SITES: Final[tuple[Site, ...]] = (
    Site(network="bank", number=10, names=("www.bank.xn",)),
    Site(network="news", number=10, names=("www.news.xn",)),
    Site(network="shop", number=10, names=("www.shop.xn",)),
    Site(network="uni", number=10, names=("www.uni.out",)),
    Site(network="foundation", number=10, names=("www.foundation.out",)),
    Site(network="registry", number=10, names=("www.registry.out",)),
    Site(network="cdn", number=10, names=("www.cdn.out", "innocuous.cdn.out", "example.com")),
    Site(network="cdn", number=20, names=("check.cdn.out",)),
    Site(network="social", number=10, names=("www.social.out", "chat.social.out")),
    Site(network="video", number=10, names=("www.video.out",)),
    Site(network="messenger", number=10, names=("web.messenger.out",)),
    Site(network="pages", number=10, names=("www.page.out", "xn--e1afmkfd.out")),
    Site(network="pages", number=20, names=("www.other.out", "www.end.out")),
)


def site_of(name: str) -> Site:
    """Return the site that `name` belongs to. Raises `KeyError`."""
    for site in SITES:
        if name in site.names:
            return site
    raise KeyError(name)


def children(name: str) -> tuple[Network, ...]:
    """Return the networks that hang on `name`."""
    return tuple(network for network in NETWORKS if network.parent == name)
