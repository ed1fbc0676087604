"""Hosts, addresses and ports as they come from measurements of anyone's: none of them may end the reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.site.places import host_of, place, port_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.1:443", ("192.0.2.1", 443)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("192.0.2.1:²", ("192.0.2.1:²", 0)),
        ("192.0.2.1:٤٤٣", ("192.0.2.1:٤٤٣", 0)),
        ("192.0.2.1:", ("192.0.2.1:", 0)),
    ],
)
def test_address_and_port(text: str, found: tuple[str, int]) -> None:
    assert place(text) == found


@given(st.one_of(st.text(max_size=30), st.text("0123456789²٤:.[]", max_size=30)))
def test_no_text_breaks_the_reading(text: str) -> None:
    host, port = place(text)
    assert isinstance(host, str)
    assert port >= 0
    host_of(text)
    port_of(text)
