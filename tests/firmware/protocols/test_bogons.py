"""Which addresses cannot be true for a public name, and which names are not public."""

import pytest

from firmware.protocols.bogons import is_bogon, is_special_use_name


@pytest.mark.parametrize(
    "address",
    [
        "10.10.34.34",
        "10.10.34.36",
        "d0::11",
        "0.0.0.0",
        "127.0.0.1",
        "100.64.0.1",
        "192.168.1.1",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "2001:db8::1",
        "2001:0:1::1",
        "64:ff9b::10.10.34.34",
        "2002:a0a:2222::1",
        "::ffff:8.8.8.8",
    ],
)
def test_reserved(address: str) -> None:
    assert is_bogon(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2001:4860:4860::8888", "64:ff9b::8.8.8.8", "2a00:1450::1"],
)
def test_public(address: str) -> None:
    assert not is_bogon(address)


@pytest.mark.parametrize(
    "name", ["localhost", "router", "nas.local", "web.test", "x.home.arpa", "A.INTERNAL."]
)
def test_names_that_are_not_public(name: str) -> None:
    assert is_special_use_name(name)


@pytest.mark.parametrize("name", ["example.org", "local.example.org", "notlocal.net", "test.com"])
def test_names_that_are(name: str) -> None:
    assert not is_special_use_name(name)
