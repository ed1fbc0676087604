"""A client, a place for a censor, and a server, each in a network namespace: the smallest network there is to censor.

    here (client) eth0 10.0.0.1 ══ inside │ censor │ outside ══ eth0 10.0.0.2 server

Call `street` in a function that `tests.namespaces.call` runs; the caller is the client then. It must never be
called elsewhere: it makes interfaces where it is.
"""

from typing import Final

from tests import namespaces

CLIENT4: Final = "10.0.0.1"
SERVER4: Final = "10.0.0.2"
CLIENT6: Final = "2001:db8::1"
SERVER6: Final = "2001:db8::2"
SERVER: Final = "server"


def street() -> None:
    """Make the three hosts; nothing passes until a censor runs."""
    for name in ("censor", SERVER):
        namespaces.node(name)
    namespaces.ip("link add eth0 type veth peer name inside netns censor")
    namespaces.ip("link add outside type veth peer name eth0 netns server", node="censor")
    for where, four, six in (("", CLIENT4, CLIENT6), (SERVER, SERVER4, SERVER6)):
        namespaces.ip(f"addr add {four}/24 dev eth0", node=where)
        namespaces.ip("link set eth0 up", node=where)
        namespaces.ip(f"addr add {six}/64 dev eth0 nodad", node=where)
    for interface in ("inside", "outside"):
        namespaces.ip(f"link set {interface} up", node="censor")
