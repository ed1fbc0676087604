"""What every answer carries: security headers, how long it may be kept, and HEAD as GET without its body.

A plain ASGI layer around the application, so that no page can forget it. It must never look into a body.
"""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""No script, no frame, no form, nothing from anywhere else."""

LIVE: Final = "public, max-age=10"
"""A page of the present: any cache may keep it for less than the page's own refresh."""
STEADY: Final = "public, max-age=3600"
"""What changes only with the software."""
FOREVER: Final = "public, max-age=31536000, immutable"
"""What has the hash of its content in its address."""
NEVER: Final = "no-store"
"""Errors, health, and what is streamed."""


class Headers:
    """ASGI middleware: adds `SECURITY`, forbids keeping what does not say otherwise, answers HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and what comes back with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                add(MutableHeaders(scope=message))
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"} if head else scope, receive, finish)


def add(headers: MutableHeaders) -> None:
    """Add what every answer carries to `headers`."""
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    headers.setdefault("cache-control", NEVER)
