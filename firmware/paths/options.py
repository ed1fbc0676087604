"""The socket options that try a path: how far a packet may go, and how big it may be. Pure numbers (ip(7), ipv6(7)).

All of them may be set by any process. This file must never open a socket.
"""

import socket
from typing import Final

IP_TTL: Final = 2
IP_MTU_DISCOVER: Final = 10
IP_MTU: Final = 14
IPV6_UNICAST_HOPS: Final = 16
IPV6_MTU_DISCOVER: Final = 23
IPV6_MTU: Final = 24
IPV6_AUTOFLOWLABEL: Final = 70

PMTUDISC_PROBE: Final = 3
"""Never cut a packet into pieces, and send it even where it is known to be too big: the path shall say so itself."""

TTL: Final = {4: (socket.IPPROTO_IP, IP_TTL), 6: (socket.IPPROTO_IPV6, IPV6_UNICAST_HOPS)}
"""How many routers a packet may pass, by family; set before each send, it holds for that send."""

MTU_DISCOVER: Final = {4: (socket.IPPROTO_IP, IP_MTU_DISCOVER), 6: (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)}
"""Whether a packet may be cut into pieces, by family."""

MTU: Final = {4: (socket.IPPROTO_IP, IP_MTU), 6: (socket.IPPROTO_IPV6, IPV6_MTU)}
"""What the kernel believes the path takes, of a connected socket, by family."""

IP_HEADER: Final = {4: 20, 6: 40}
"""Bytes of an IP header without options, by family."""

TRANSPORT_HEADER: Final = 8
"""Bytes of a UDP header, and of an ICMP echo's."""
