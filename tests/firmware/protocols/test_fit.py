"""A detail that is too big is cut, beginning and end kept, and says so."""

import json

from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.protocols.fit import MAX_DETAIL_BYTES, fit

VALUES: "st.SearchStrategy[JsonValue]" = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=40,
)


def size(detail: JsonObject) -> int:
    return len(json.dumps(detail, separators=(",", ":")))


def test_what_fits_is_left_alone() -> None:
    detail: JsonObject = {"chain": ["x" * 4000, "y" * 4000], "answers": [[1, 2]] * 300}
    assert fit(detail) is detail


def test_lists_lose_their_middle_before_texts_lose_their_end() -> None:
    chain: list[JsonValue] = [str(number) * 3000 for number in range(8)]
    kept = fit({"chain": chain, "failure": "ssl_unknown_authority"})
    assert kept == {"chain": [*chain[:3], chain[-1]], "failure": "ssl_unknown_authority", "cut": True}


def test_one_endless_text_is_cut() -> None:
    kept = fit({"url": "x" * 100_000})
    assert kept == {"url": "x" * 4096, "cut": True}


def test_the_worst_that_a_server_can_send_fits() -> None:
    headers: JsonValue = [["n" * 60, "é" * 300]] * 40
    requests: JsonValue = [{"url": "u" * 8000, "headers": headers, "title": "t" * 256}] * 11
    assert size(fit({"status": 200, "url": "u" * 8000, "requests": requests})) <= MAX_DETAIL_BYTES


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), st.integers(20, 3000))
def test_only_what_is_too_big_is_cut_and_it_says_so(detail: JsonObject, limit: int) -> None:
    kept = fit(detail, max_bytes=limit)
    if size(detail) <= limit:
        assert kept == detail
    else:
        assert kept["cut"] is True
        assert set(kept) == set(detail) | {"cut"}
        assert size(kept) <= size(detail) + len(',"cut":true')
