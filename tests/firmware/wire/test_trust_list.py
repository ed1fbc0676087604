"""The trust list as it travels: what goes in comes out, and what is no list is refused by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import NewerVersionError, RecordError
from firmware.wire.trust_list import (
    MAX_BYTES,
    MAX_KEYS,
    ListedKey,
    SignedList,
    TrustList,
    decode,
    decode_text,
    encode,
    encode_text,
)

SECOND = 1_000_000_000
moments = st.integers(0, 4_000_000_000).map(lambda s: s * SECOND)
keys = st.builds(
    ListedKey,
    key=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    name=st.text(max_size=64),
    since_utc_ns=moments,
)
lists = st.builds(
    lambda number, issued, days, collectors, revoked: TrustList(
        number=number,
        issued_utc_ns=issued,
        not_after_utc_ns=issued + days * 86_400 * SECOND,
        collectors=tuple(collectors),
        revoked=tuple(revoked),
    ),
    st.integers(1, 2**53),
    moments,
    st.integers(1, 4000),
    st.lists(keys, max_size=4),
    st.lists(keys, max_size=4),
)
ONE = TrustList(number=1, issued_utc_ns=0, not_after_utc_ns=SECOND)


@given(trust=lists, signature=st.binary(min_size=64, max_size=64), chain=st.sampled_from([b"", b"-----PEM"]))
def test_what_goes_in_comes_out(trust: TrustList, signature: bytes, chain: bytes) -> None:
    signed = SignedList(text=encode_text(trust), signature=signature, chain=chain)
    assert decode(encode(signed)) == signed
    assert decode_text(signed.text) == trust
    assert signed.is_by_root is not bool(chain)


@given(trust=lists)
def test_a_revoked_key_counts_for_nobody_though_it_be_listed(trust: TrustList) -> None:
    gone = {one.key for one in trust.revoked}
    for one in trust.collectors:
        assert trust.counts(one.key) is (one.key not in gone)
    assert not any(trust.counts(key) for key in gone)
    assert not trust.counts("")
    assert trust.counting == len({one.key for one in trust.collectors} - gone)


def test_the_largest_list_travels_in_one_message() -> None:
    many = tuple(ListedKey(key=f"{number:064x}", name="n" * 64, since_utc_ns=0) for number in range(MAX_KEYS))
    trust = TrustList(number=2**53, issued_utc_ns=0, not_after_utc_ns=SECOND, collectors=many, revoked=many)
    chain = b"-" * 2_000
    assert len(encode(SignedList(text=encode_text(trust), signature=bytes(64), chain=chain))) > 0
    with pytest.raises(RecordError, match="allowed is"):
        decode(b" " * (MAX_BYTES + 1))


def _with(**changes: object) -> bytes:
    return json.dumps({**json.loads(encode_text(ONE)), **changes}).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a JSON object"),
        (_with(number=0), "number"),
        (_with(number=2**60), "number"),
        (_with(issued="2026-11-29"), "allowed is a time as"),
        (_with(not_after="1970-01-01T00:00:00Z"), "ends before it begins"),
        (_with(collectors=[["a", "b", "c"]]), "64 hex digits"),
        (_with(collectors=[["a" * 64, "b" * 65, "2026-11-29T00:00:00Z"]]), "64 hex digits"),
        (_with(revoked=[["a" * 64, "b", "2026-11-29T00:00:00Z"]] * (MAX_KEYS + 1)), "allowed is 200"),
    ],
)
def test_what_is_no_list_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        decode_text(text)


def test_a_list_by_newer_software_says_so() -> None:
    with pytest.raises(NewerVersionError):
        decode_text(_with(v=2))


@pytest.mark.parametrize("signature", ["", "a" * 127, "A" * 128])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(RecordError, match="signature"):
        decode(json.dumps({"v": 1, "text": "", "signature": signature, "chain": ""}).encode())
