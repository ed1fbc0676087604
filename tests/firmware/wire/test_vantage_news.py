"""Vantage news: it comes back as it was, always fits, and what is not news is refused."""

import json
import os
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.site import vantage_json
from firmware.judgement.site.evidence import SiteView, VantageSource
from firmware.model.jsontypes import NewerVersionError, RecordError
from firmware.wire.vantage_news import (
    MAX_NEWS_BYTES,
    SecondTold,
    VantageNews,
    VantageView,
    decode_news,
    encode_news,
)
from tests.firmware.records import failures

texts = st.text(max_size=20)
places = st.dictionaries(texts, failures, max_size=4)
views = st.builds(
    SiteView,
    source=st.just(VantageSource.COLLECTOR),
    reachable=st.booleans(),
    dns_failure=failures,
    addresses=st.lists(texts, max_size=4).map(tuple),
    connects=places,
    handshakes=places,
    http_failure=failures,
    status=st.none() | st.integers(100, 599),
    headers=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    body_length=st.none() | st.integers(0, 2**40),
    title=st.none() | texts,
    saw_dns=st.booleans(),
    saw_http=st.booleans(),
)
seen = st.builds(
    VantageView,
    test=texts,
    target=texts,
    target_name=texts,
    taken_utc_ns=st.integers(0, 2**62),
    failure=failures,
    failed_operation=st.none() | texts,
    view=views.map(vantage_json.to_json),
    earlier_s=st.lists(st.integers(0, 2**32), max_size=24).map(tuple),
    second=st.lists(
        st.builds(SecondTold, stand=texts, taken_utc_ns=st.integers(0, 2**62), failure=failures), max_size=3
    ).map(tuple),
)


@given(st.builds(VantageNews, told_utc_ns=st.integers(0, 2**62), seen=st.lists(seen, max_size=4).map(tuple)))
def test_it_comes_back_as_it_was(news: VantageNews) -> None:
    assert decode_news(encode_news(news)) == news


@given(views)
def test_a_view_comes_back_as_it_was(view: SiteView) -> None:
    assert vantage_json.from_json(vantage_json.to_json(view), age_s=0) == view


def test_it_always_fits_and_spares_detail_before_targets() -> None:
    def noise(size: int) -> str:
        return os.urandom(size).hex()

    def one(number: int) -> VantageView:
        places: dict[str, str | None] = {noise(8): None for _ in range(20)}
        view = SiteView(
            source=VantageSource.COLLECTOR,
            status=200,
            addresses=tuple(places),
            connects=places,
            title=noise(50),
        )
        return VantageView(
            test="web_connectivity",
            target=noise(8),
            target_name=f"site-{number}",
            taken_utc_ns=number,
            failure=None,
            failed_operation=None,
            view=vantage_json.to_json(view),
        )

    for count in (1, 20, 190, 300):
        payload = encode_news(VantageNews(told_utc_ns=1, seen=tuple(one(number) for number in range(count))))
        assert len(payload) <= MAX_NEWS_BYTES
        kept = decode_news(payload).seen
        assert [outside.target_name for outside in kept] == [f"site-{number}" for number in range(len(kept))]
        assert len(kept) == count or count > 20
        for outside in kept:
            assert vantage_json.from_json(outside.view, age_s=0).status == 200


def news_text(**changes: Any) -> bytes:
    text = {"v": 1, "told_utc_ns": 1, "seen": []} | changes
    return zlib.compress(json.dumps(text).encode())


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"", "cut short"),
        (b"{}", "not JSON under zlib"),
        (zlib.compress(b"[1"), "not JSON under zlib"),
        (zlib.compress(b"0" * 300_000), "more than 262144 bytes"),
        (os.urandom(5000), "4096 are the most"),
        (news_text(seen=None), "seen: found None; allowed is an array"),
        (news_text(seen=[{}] * 201), "up to 200 targets"),
        (news_text(told_utc_ns="now"), "told_utc_ns"),
        (
            news_text(
                seen=[
                    {
                        "test": "tls",
                        "target": "x",
                        "name": "x",
                        "taken_utc_ns": 1,
                        "failure": "broken",
                        "operation": None,
                        "view": {},
                    }
                ]
            ),
            "not on the list",
        ),
    ],
)
def test_what_is_not_news_is_refused(payload: bytes, told: str) -> None:
    with pytest.raises(RecordError, match=told):
        decode_news(payload)


def test_news_of_newer_software_is_told_apart() -> None:
    with pytest.raises(NewerVersionError):
        decode_news(news_text(v=2))


@given(st.binary(max_size=200) | st.builds(zlib.compress, st.binary(max_size=200)))
def test_nothing_that_comes_raises_anything_else(payload: bytes) -> None:
    with pytest.raises(RecordError):
        decode_news(payload)
