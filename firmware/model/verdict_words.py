"""The words a verdict may be, device's and collector's. What each means says the catalogue, under `verdict.…`. Pure.

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
    ALLOWLISTED = "allowlisted"
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
    # what the collector adds: scope and vantage
    ISP_OUTAGE = "isp_outage"
    TOTAL_SHUTDOWN = "total_shutdown"
    MOBILE_SHUTDOWN = "mobile_shutdown"
    REGIONAL_SHUTDOWN = "regional_shutdown"
    PARTIAL_SHUTDOWN = "partial_shutdown"
    PLATFORM_BLOCKED = "platform_blocked"
    TRANSIT_FAULT = "transit_fault"
    SERVICE_MAINTENANCE = "service_maintenance"
    COLLECTOR_FAULT = "collector_fault"


COLLECTOR_ONLY: Final = frozenset(
    {
        VerdictWord.ISP_OUTAGE,
        VerdictWord.TOTAL_SHUTDOWN,
        VerdictWord.MOBILE_SHUTDOWN,
        VerdictWord.REGIONAL_SHUTDOWN,
        VerdictWord.PARTIAL_SHUTDOWN,
        VerdictWord.PLATFORM_BLOCKED,
        VerdictWord.TRANSIT_FAULT,
        VerdictWord.SERVICE_MAINTENANCE,
        VerdictWord.COLLECTOR_FAULT,
    }
)
"""Words that claim a scope or need many devices: a device never says them."""

BLOCKED: Final = frozenset(
    {VerdictWord.BLOCKED_DNS, VerdictWord.BLOCKED_TCP, VerdictWord.BLOCKED_TLS, VerdictWord.BLOCKED_HTTP}
)
"""Words that say that a page is blocked."""

ACCUSING: Final = BLOCKED | {
    VerdictWord.ISP_OR_WIDER_OUTAGE,
    VerdictWord.INTERNATIONAL_CUT,
    VerdictWord.ALLOWLISTED,
    VerdictWord.PROTOCOL_FILTERING,
    VerdictWord.THROTTLED_TARGETED,
    VerdictWord.THROTTLED_GENERAL,
    VerdictWord.ISP_OUTAGE,
    VerdictWord.TOTAL_SHUTDOWN,
    VerdictWord.MOBILE_SHUTDOWN,
    VerdictWord.REGIONAL_SHUTDOWN,
    VerdictWord.PARTIAL_SHUTDOWN,
    VerdictWord.PLATFORM_BLOCKED,
    VerdictWord.TRANSIT_FAULT,
}
"""Words that say that somebody beyond the user's own network stops something, or lets it fall: an accusation."""

REASSURING: Final = frozenset(VerdictWord) - ACCUSING - {VerdictWord.INCONCLUSIVE}
"""`ok`, and the words by which what fails is nobody's doing: the home's, a server's, a crowd's or the collector's own."""

DEVICE_WORDS: Final = frozenset(VerdictWord) - COLLECTOR_ONLY
