"""The collector's settings: what is written is what is meant, and every default passes its own rule."""

from pathlib import Path

import pytest

from collector.settings import CollectorSettings, broker_address
from firmware.settings.load import SettingsError, load


@pytest.mark.parametrize(
    ("use", "address"),
    [
        ("auto", None),
        ("none", None),
        ("localhost:1883", ("localhost", 1883)),
        ("[::1]:1883", ("::1", 1883)),
        ("broker.example.org:65535", ("broker.example.org", 65535)),
    ],
)
def test_a_broker_is_a_word_or_an_address(use: str, address: tuple[str, int] | None) -> None:
    settings = load(CollectorSettings, None, {"broker.use": use})
    assert broker_address(settings.broker.use) == address


@pytest.mark.parametrize(
    "use", ["", "localhost", "localhost:", ":1883", "a b:1", "::1:1883", "x:0", "x:65536"]
)
def test_what_is_neither_is_refused(use: str) -> None:
    with pytest.raises(SettingsError):
        load(CollectorSettings, None, {"broker.use": use})


def test_a_file_is_read_and_an_option_goes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "collector.toml"
    path.write_text('data = "here"\n[page]\nport = 0\n[ingest]\nwaiting_messages = 50\n')
    settings = load(CollectorSettings, path, {"page.port": 9000})
    assert settings.data == tmp_path / "here"
    assert (settings.page.port, settings.ingest.waiting_messages) == (9000, 50)


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ('source_address = "10.8.0.2"', "go together"),
        ('country = "ir"', "go together"),
        ('source_address = "10.8.0"\ncountry = "ir"', "allowed is an IPv4 or IPv6 address"),
        ('source_address = "wg0"\ncountry = "ir"', "source_address"),
        ('source_address = "10.8.0.2"\ncountry = "Iran"', "two small letters"),
    ],
)
def test_a_second_vantage_needs_an_address_and_a_country(tmp_path: Path, second: str, fault: str) -> None:
    path = tmp_path / "collector.toml"
    path.write_text(f"[vantage]\nenabled = true\n[second_vantage]\n{second}\n")
    with pytest.raises(SettingsError, match=fault):
        load(CollectorSettings, path)


def test_a_second_vantage_stands_beside_a_first(tmp_path: Path) -> None:
    path = tmp_path / "collector.toml"
    second = '[second_vantage]\nsource_address = "10.8.0.2"\ncountry = "ir"\n'
    path.write_text(second)
    with pytest.raises(SettingsError, match="stands beside the vantage"):
        load(CollectorSettings, path)
    path.write_text(f"[vantage]\nenabled = true\n{second}")
    assert load(CollectorSettings, path).second_vantage.country == "ir"
