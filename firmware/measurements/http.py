"""`http`: fetch a web page as a browser would, over HTTP/1.1, with or without TLS, and follow its redirects.

The target is a URL. Options: `address` (connect there instead of resolving; for the first request only), `host` (the
name to ask for where the URL has an address in its place), `method` (GET or HEAD), `body_cap` (bytes of body kept and
read, OONI's 524288 by default), `expect_status` (any other final status is `http_unexpected_status_code`: 204 for the
checks that find a captive portal), `expect_redirect` (the beginning of the URL that the answer must lead to: one
that leads elsewhere is `http_unexpected_redirect_url`, any other `http_unexpected_status_code`), `redirects` (how many to
follow: 10, or none where an answer is expected), `family`.

The outcome's `phases` are the first request's, so that they compare from round to round. `detail`: `status`
(the last request's), `url` (where the journey ended) and `requests`, in order, each with `url`, `method`,
`status`, `http_version`, `headers`, `body_sha256`, `body_length`, `body_is_truncated`, `body_is_encoded`,
`title`, `read_timing` ([bytes so far, ns] and its class, `read_timing_stamp`), `egress_queue_ns` (the request's
wait in our own queue), `first_segments` (`firmware.protocols.http_exchange.Response`), `address`, `failure`, `phases`, `tls`
(`firmware.protocols.tls_stream.Handshake`), `queries`, `tcp_connect`, with a failure `message`, and where an answer was
there though the request could not be sent, `write_failure`. The body itself is not kept. Each request has a connection of its own. Everything a server says is scrubbed (`firmware.protocols.scrub`) and
cut to size (`firmware.protocols.fit`) before it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.targets import Options, TargetError, family_of, parse_host
from firmware.protocols.fit import fit
from firmware.protocols.http_exchange import Response
from firmware.protocols.http_fetch import Fetch, follow
from firmware.protocols.http_urls import OPERATION, REDIRECTS, Url, parse_url

BODY_CAP: Final = 524_288
MAX_REDIRECTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One fetch. `address` "" resolves; `expect_status` 0 and `expect_redirect` "" take any."""

    url: Url
    address: str
    method: str
    body_cap: int
    expect_status: int
    expect_redirect: str
    redirects: int
    families: tuple[int, ...]

    name: ClassVar[str] = "http"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = (
        "fetch a URL over HTTP/1.1, follow redirects, keep status, headers, title and body hash"
    )

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take an http or https URL. Raises `TargetError`."""
        given = Options(cls.name, options)
        expect_status = given.integer("expect_status", 0, low=0, high=599)
        address = given.text("address", "")
        if address and family_of(address) is None:
            raise TargetError(f"http: option address: found {address!r}; allowed is an IPv4 or IPv6 address")
        url, name = parse_url(target), given.text("host", "")
        if name:
            if family_of(url.host) is None or address:
                raise TargetError(
                    f"http: option host: found {name!r} beside {target}; allowed is a name beside a URL with an address"
                )
            url, address = replace(url, host=parse_host(name)), url.host
        expect_redirect = given.text("expect_redirect", "")
        if expect_redirect:
            expect_redirect = str(parse_url(expect_redirect))
        parsed = cls(
            url=url,
            address=address,
            method=given.word("method", "GET", ("GET", "HEAD")),
            body_cap=given.integer("body_cap", BODY_CAP, low=0, high=16 * BODY_CAP),
            expect_status=expect_status,
            expect_redirect=expect_redirect,
            redirects=given.integer(
                "redirects", 0 if expect_status or expect_redirect else MAX_REDIRECTS, low=0, high=20
            ),
            families=given.families(),
        )
        given.finish()
        return parsed

    async def measure(self, net: Net) -> Outcome:
        """Fetch, following redirects."""
        fetches, failed = await follow(
            Fetch(net, self.url, self.method),
            self.url,
            lambda fetch: fetch.run(self.address or self.url.host, self.families, self.body_cap),
            lambda url: Fetch(net, url, self.method),
            limit=self.redirects,
            families=self.families,
            body_cap=self.body_cap,
        )
        status = fetches[-1].response.status
        unexpected = None if failed is not None else self._unexpected(fetches[-1].response)
        if unexpected is not None:
            failed = MeasurementFailedError(unexpected, operation=OPERATION)
        detail: dict[str, JsonValue] = {
            "status": status,
            "url": fetches[-1].shown_url,
            "requests": [fetch.to_json() for fetch in fetches],
        }
        return net.outcome(phases=fetches[0].phases, detail=fit(detail), error=failed)

    def _unexpected(self, response: Response) -> Failure | None:
        """Return what is wrong with an answer that is not the expected one."""
        if self.expect_status and response.status != self.expect_status:
            return Failure.HTTP_UNEXPECTED_STATUS_CODE
        if not self.expect_redirect:
            return None
        location = response.header("location")
        if response.status not in REDIRECTS or location is None:
            return Failure.HTTP_UNEXPECTED_STATUS_CODE
        leads = location.strip().startswith(self.expect_redirect)
        return None if leads else Failure.HTTP_UNEXPECTED_REDIRECT_URL
