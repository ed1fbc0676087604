"""The envelope's bytes: what goes in comes out, what is not one is refused, what is signed is bound to its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import RecordError
from firmware.wire.envelope import MAGIC, OVERHEAD_BYTES, Envelope, is_sealed, seal, signed_text, unseal
from firmware.wire.messages import Hello, encode_hello

KEY_ID = bytes(range(8))
SIGNATURE = bytes(range(64))
HELLO = Hello(device="a" * 16, epoch="0" * 16, low=1, high=0, waiting=0, software="tidegauge", country="ir")


@given(payload=st.binary())
def test_what_is_sealed_is_unsealed(payload: bytes) -> None:
    envelope = Envelope(key_id=KEY_ID, signature=SIGNATURE, payload=payload)
    sealed = seal(envelope)
    assert is_sealed(sealed)
    assert unseal(sealed) == envelope
    assert len(sealed) == len(payload) + OVERHEAD_BYTES == len(payload) + 76


def test_a_bare_payload_is_not_taken_for_one() -> None:
    bare = encode_hello(HELLO)
    assert not is_sealed(bare)
    with pytest.raises(RecordError, match="it is not signed"):
        unseal(bare)


@pytest.mark.parametrize("size", [4, 5, 75])
def test_one_cut_short_says_so(size: int) -> None:
    sealed = seal(Envelope(key_id=KEY_ID, signature=SIGNATURE, payload=b"x"))
    with pytest.raises(RecordError, match=f"cut short at {size} bytes"):
        unseal(sealed[:size])


@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for candidate in (data, MAGIC + data):
        try:
            unseal(candidate)
        except RecordError:
            continue


@pytest.mark.parametrize(("key_id", "signature"), [(b"", SIGNATURE), (KEY_ID, b"")])
def test_a_part_of_the_wrong_size_is_our_own_mistake(key_id: bytes, signature: bytes) -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        seal(Envelope(key_id=key_id, signature=signature, payload=b""))


def test_what_is_signed_depends_on_device_place_and_payload() -> None:
    texts = {
        signed_text(device=device, leaf=leaf, payload=payload)
        for device in ("a" * 16, "b" * 16)
        for leaf in ("live", "bulk")
        for payload in (b"1", b"2")
    }
    assert len(texts) == 8
