"""What each failure word means, in one sentence for a person. The reference page is made from this table.

A word without a sentence fails the tests. This file must never explain more than the word itself says: who
did it and why is the verdict's to judge.
"""

from collections.abc import Mapping
from typing import Final

from firmware.model.failures import UNKNOWN_PREFIX, Failure

MEANINGS: Final[Mapping[Failure, str]] = {
    Failure.DNS_NXDOMAIN: "The resolver says that the name does not exist.",
    Failure.DNS_BOGON: "The resolver answered with a private or reserved address, which a public name never has.",
    Failure.DNS_NO_ANSWER: "The name exists, but the resolver gave no record of the type asked for.",
    Failure.DNS_SERVFAIL: "The resolver says that it could not find out.",
    Failure.DNS_REFUSED: "The resolver refused to answer.",
    Failure.DNS_TEMPORARY_FAILURE: "The operating system's resolver failed for now, and gave no reason.",
    Failure.DNS_NON_RECOVERABLE: "The operating system's resolver failed for good, and gave no reason.",
    Failure.DNS_SERVER_MISBEHAVING: "What the resolver sent is not a usable answer.",
    Failure.DNS_WRONG_QUERY_ID: "Answers came, but none carried the query's own id: they were not for us, or forged.",
    Failure.CONNECTION_REFUSED: "The far end, or something in between, refused the connection at once.",
    Failure.CONNECTION_RESET: "The connection was torn down by a reset, from the far end or from something in between.",
    Failure.CONNECTION_ABORTED: "This machine's own network code gave the connection up.",
    Failure.CONNECTION_ALREADY_CLOSED: "The connection was closed before everything was sent.",
    Failure.EOF: "The far end ended the connection in an orderly way, but before it had answered in full.",
    Failure.TIMEOUT: "Nothing came back in the time allowed.",
    Failure.HOST_UNREACHABLE: "A router, or this machine, reported that the host cannot be reached.",
    Failure.NETWORK_UNREACHABLE: "There is no route to that network.",
    Failure.NETWORK_DOWN: "The network interface is down.",
    Failure.NETWORK_RESET: "The network dropped the connection on reset.",
    Failure.INTERRUPTED: "The measurement was stopped before it ended.",
    Failure.SSL_FAILED_HANDSHAKE: "The two ends could not agree on a TLS session, or what came back was not TLS.",
    Failure.SSL_INVALID_HOSTNAME: "The certificate shown is for another name.",
    Failure.SSL_UNKNOWN_AUTHORITY: "The certificate shown is not signed by an authority that this machine trusts.",
    Failure.SSL_INVALID_CERTIFICATE: "The certificate shown is not valid, for instance expired or not yet valid.",
    Failure.HTTP_REQUEST_FAILED: "What came back is not a valid HTTP response.",
    Failure.HTTP_UNEXPECTED_REDIRECT_URL: "The redirects lead round in a circle, too far, or to something other than the web.",
    Failure.HTTP_UNEXPECTED_STATUS_CODE: "The server answered with another status code than the one expected.",
    Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST: "The server redirected to an address that is not valid.",
    Failure.ADDRESS_FAMILY_NOT_SUPPORTED: "This machine cannot use that kind of address (IPv4 or IPv6).",
    Failure.ADMINISTRATIVELY_PROHIBITED: "A router on the way reported that this traffic is forbidden.",
    Failure.TTL_EXCEEDED: "A router gave the packet up: it had passed as many routers as it was allowed to, or went in a circle.",
    Failure.MESSAGE_SIZE: "The packet was too big for a link on the way, and was not to be cut into pieces.",
    Failure.PERMISSION_DENIED: "The operating system does not let this program do that.",
    Failure.LINK_DOWN: "The network cable or Wi-Fi is not connected.",
    Failure.NO_ADDRESS: "The device was given no network address.",
    Failure.NO_GATEWAY: "The device was given no way out of its local network.",
    Failure.NO_RESOLVER: "The device was given no resolver to ask names of.",
    Failure.NTP_UNSYNCHRONISED: "The time server answered that its own clock is not set.",
    Failure.NTP_KISS_OF_DEATH: "The time server answered that it will not serve us.",
    Failure.MISSED_SLOT: "The measurement was due and was not made.",
    Failure.WORKER_DIED: "The measuring program stopped before the result was in.",
    Failure.RESULT_LOST: "The measurement was made, and the device could not keep its result.",
    Failure.DISK_FULL: "There was no room left on what was written to.",
}


def meaning(word: str) -> str:
    """Return one sentence on a failure word, `unknown_failure: …` included. Raises ValueError for no word of ours."""
    if word.startswith(UNKNOWN_PREFIX):
        return f"Something failed that has no word of its own: {word.removeprefix(UNKNOWN_PREFIX)}."
    return MEANINGS[Failure(word)]
