"""The words a verdict may be, device's and collector's, each with its meaning in one sentence. Pure.

A word is never re-used for something else, and none is removed: records that carry it outlive the software.
"""

from enum import StrEnum
from typing import Final


class VerdictWord(StrEnum):
    """What a verdict says."""

    # what local evidence can carry: never the country's scope
    OK = "ok"
    LOCAL_FAULT = "local_fault"
    CAPTIVE_PORTAL = "captive_portal"
    ISP_OR_WIDER_OUTAGE = "isp_or_wider_outage"
    INTERNATIONAL_CUT = "international_cut"
    PROTOCOL_FILTERING = "protocol_filtering"
    BLOCKED_DNS = "blocked_dns"
    BLOCKED_TCP = "blocked_tcp"
    BLOCKED_TLS = "blocked_tls"
    BLOCKED_HTTP = "blocked_http"
    THROTTLED_TARGETED = "throttled_targeted"
    THROTTLED_GENERAL = "throttled_general"
    CONGESTION = "congestion"
    SERVICE_DOWN = "service_down"
    INCONCLUSIVE = "inconclusive"
    # what the collector adds: scope and control
    ISP_OUTAGE = "isp_outage"
    TOTAL_SHUTDOWN = "total_shutdown"
    MOBILE_SHUTDOWN = "mobile_shutdown"
    REGIONAL_SHUTDOWN = "regional_shutdown"
    TRANSIT_FAULT = "transit_fault"
    SERVICE_MAINTENANCE = "service_maintenance"
    COLLECTOR_FAULT = "collector_fault"


MEANINGS: Final[dict[VerdictWord, str]] = {
    VerdictWord.OK: "Reference targets outside the country complete end to end.",
    VerdictWord.LOCAL_FAULT: "The fault is in the host's own network: cable, Wi-Fi, address or router.",
    VerdictWord.CAPTIVE_PORTAL: "A sign-in page stands between the host's network and everything else.",
    VerdictWord.ISP_OR_WIDER_OUTAGE: "The host's network works, and nothing beyond it answers.",
    VerdictWord.INTERNATIONAL_CUT: "Networks inside the country work, and nothing outside it answers.",
    VerdictWord.PROTOCOL_FILTERING: "Only some protocols or ports pass; the same targets answer by those that do.",
    VerdictWord.BLOCKED_DNS: "The name of one target gets a false answer, or none, while others resolve.",
    VerdictWord.BLOCKED_TCP: "Connections to one target's address are stopped, while its network is reached.",
    VerdictWord.BLOCKED_TLS: "The TLS handshake is stopped for one target's name and passes for another.",
    VerdictWord.BLOCKED_HTTP: "Requests for one target are answered by, or stopped by, somebody else.",
    VerdictWord.THROTTLED_TARGETED: "One target is slow where a control to the same address and port is not.",
    VerdictWord.THROTTLED_GENERAL: "Everything is slow, beyond what this hour ordinarily is, and not from load.",
    VerdictWord.CONGESTION: "Everything is slow the way a full line is: delay and loss rise together.",
    VerdictWord.SERVICE_DOWN: "One target fails, and fails in the same way from outside the country.",
    VerdictWord.INCONCLUSIVE: "The evidence does not carry any other verdict.",
    VerdictWord.ISP_OUTAGE: "The devices of one provider are dark, and those of others are not.",
    VerdictWord.TOTAL_SHUTDOWN: "The country's networks went dark together, inside and out.",
    VerdictWord.MOBILE_SHUTDOWN: "Mobile networks are dark, and fixed ones are not.",
    VerdictWord.REGIONAL_SHUTDOWN: "One region is dark across providers, and others are not.",
    VerdictWord.TRANSIT_FAULT: "A fault on the way to the country; its neighbours dropped with it.",
    VerdictWord.SERVICE_MAINTENANCE: "A service took itself down; everyone lost it at once, outside too.",
    VerdictWord.COLLECTOR_FAULT: "The devices are well; it is the collector, or the way to it, that failed.",
}

COLLECTOR_ONLY: Final = frozenset(
    {
        VerdictWord.ISP_OUTAGE,
        VerdictWord.TOTAL_SHUTDOWN,
        VerdictWord.MOBILE_SHUTDOWN,
        VerdictWord.REGIONAL_SHUTDOWN,
        VerdictWord.TRANSIT_FAULT,
        VerdictWord.SERVICE_MAINTENANCE,
        VerdictWord.COLLECTOR_FAULT,
    }
)
"""Words that claim a scope or need many devices: a device never says them."""

DEVICE_WORDS: Final = frozenset(VerdictWord) - COLLECTOR_ONLY
