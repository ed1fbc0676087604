"""The page in real Chromium with scripts off: nothing stands out, all of it can be read, nothing is fetched."""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from collector.page import language
from collector.page.pages import ROUNDS_SHOWN
from collector.store.database import Store
from tests.collector.page import invented, stories
from tests.collector.page.browser import Browser, View
from tests.collector.page.conftest import Served, serving
from tests.needs import ROOT

pytestmark = pytest.mark.browser

_DEVICE: Final = "b7d2w8r4t6z1h0js"
_PAGES: Final = ("/", f"/device/{_DEVICE}", "/about", "/api", "/nowhere")
_WIDTHS: Final = (360, 1280)
_IMAGES: Final = ROOT / "docs" / "images"
_IMAGE_BYTES: Final = 150_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Lend a served store with twenty devices at their most ragged."""

    def fill(store: Store) -> int:
        now_ns = invented.utc(15, 18)
        invented.crowd(store, 20, ROUNDS_SHOWN, now_ns)
        return now_ns

    with serving(tmp_path_factory.mktemp("crowd"), fill) as served:
        yield served


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Lend a served store with a country whose way abroad is cut at present."""
    directory = tmp_path_factory.mktemp("cut")
    with serving(directory, lambda store: stories.cut_and_heard(store, directory)) as served:
        yield served


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("path", _PAGES)
def test_nothing_stands_out_to_the_side(browser: Browser, evening: Served, path: str, width: int) -> None:
    with browser.view(f"{evening.url}{path}", width=width) as view:
        assert view.content_size()[0] == width


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("by_night", [False, True], ids=["light", "dark"])
def test_a_country_with_its_past_fits_and_can_be_read(
    browser: Browser, dark: Served, width: int, by_night: bool
) -> None:
    with browser.view(f"{dark.url}/", width=width, dark=by_night) as view:
        assert view.content_size()[0] == width
        runs = list(_texts(view))
    words = " ".join(text.words for text in runs)
    assert "The international link is cut, the national network works" in words
    assert "Total shutdown" in words
    assert not [text for text in runs if _contrast(text.colour, text.behind) < (3.0 if text.large else 4.5)]


def test_twenty_ragged_devices_fit_a_telephone(browser: Browser, crowd: Served) -> None:
    with browser.view(f"{crowd.url}/", width=360) as view:
        assert view.content_size()[0] == 360


def test_the_layout_holds_from_right_to_left(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "direction", lambda _language: "rtl")
    with serving(tmp_path, invented.evening) as served, browser.view(f"{served.url}/", width=360) as view:
        assert view.content_size()[0] == 360
        newest = _boxes(view, "td", "failed")
    assert min(box[0] for box in newest) < 30


def test_only_the_page_and_its_style_sheet_are_asked_for(browser: Browser, evening: Served) -> None:
    evening.requests.clear()
    with browser.view(f"{evening.url}/?page=1&refresh=off", width=1280) as view:
        asked = [url for url in view.requested() if not url.startswith("data:")]
    assert len(asked) == 2
    assert all(url.startswith(f"{evening.url}/") for url in asked)
    assert re.fullmatch(r"/page-[0-9a-f]{12}\.css", asked[1].removeprefix(evening.url))
    # The server's own log agrees; the style sheet may be in the browser's cache already.
    served = [path for _, path in evening.requests]
    assert served[0] == "/"
    assert set(served[1:]) <= {asked[1].removeprefix(evening.url)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", _PAGES)
def test_every_word_stands_out_from_what_is_behind_it(
    browser: Browser, evening: Served, path: str, dark: bool
) -> None:
    with browser.view(f"{evening.url}{path}", width=1280, dark=dark) as view:
        runs = list(_texts(view))
    assert len(runs) >= 10
    faint = [text for text in runs if _contrast(text.colour, text.behind) < (3.0 if text.large else 4.5)]
    assert not faint


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_cells_stand_out_and_are_told_apart_by_shape_and_by_every_eye(
    browser: Browser, crowd: Served, dark: bool
) -> None:
    with browser.view(f"{crowd.url}/", width=1280, dark=dark) as view:
        styles = _cell_styles(view)
    paper = styles["paper"]["background-color"]
    reached, failed = (_rgb(styles[state]["background-color"]) for state in ("reached", "failed"))
    assert _contrast(reached, _rgb(paper)) >= 3
    assert _contrast(failed, _rgb(paper)) >= 3
    for matrix in _COLOUR_VISION.values():
        assert _distance(_seen(reached, matrix), _seen(failed, matrix)) > 25
    # Apart from colour: a half-filled cell has an image, a failed one its cross, the rest neither.
    assert styles["partly"]["background-image"] != styles["reached"]["background-image"] == "none"
    assert styles["failed"]["crossed"]
    assert not styles["reached"]["crossed"]


def test_the_ladder_is_a_table_to_those_who_hear_it(browser: Browser, evening: Served) -> None:
    with browser.view(f"{evening.url}/", width=1280) as view:
        spoken = view.spoken()
    roles = [role for role, _ in spoken]
    assert roles.count("table") == 3
    assert ("columnheader", "International") in spoken
    cells = [name for role, name in spoken if role in {"cell", "gridcell"}]
    assert "failed 0/5" in cells
    assert "reached 4/4" in cells
    assert "partly 2/3" in cells
    assert "23 min" in cells
    assert len(cells) >= 3 * 7 * (ROUNDS_SHOWN - 2)
    assert any(role == "rowheader" and re.fullmatch(r"\d\d:\d\d:\d\d", name) for role, name in spoken)
    for heading in ("A country’s Internet, measured from inside.", _DEVICE):
        assert any(role in {"heading", "link"} and heading in name for role, name in spoken)


def test_a_telephone_shows_the_newest_rounds_and_a_desk_all(browser: Browser, evening: Served) -> None:
    shown = {}
    for width in _WIDTHS:
        with browser.view(f"{evening.url}/", width=width) as view:
            shown[width] = len(_boxes(view, "td", "failed"))
    assert shown[1280] >= 2 * 2 * 22
    assert 0 < shown[360] <= shown[1280]


def test_printed_the_evidence_is_open(browser: Browser, evening: Served) -> None:
    with browser.view(f"{evening.url}/", width=720, media="print") as view:
        words = " ".join(text.words for text in _texts(view))
        assert view.pdf().startswith(b"%PDF")
    assert "One answer from any international reference target" in words
    assert "Pause" not in words


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (360, 1100)])
def test_the_readmes_pictures(browser: Browser, cut: Served, width: int, height: int, tmp_path: Path) -> None:
    """Makes the pictures; TIDEGAUGE_WRITE_SCREENSHOTS=1 puts them where README shows them."""
    with browser.view(f"{cut.url}/", width=width) as view:
        picture = view.screenshot(height=height)
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20]) == width
    assert len(picture) < _IMAGE_BYTES
    directory = _IMAGES if os.environ.get("TIDEGAUGE_WRITE_SCREENSHOTS") else tmp_path
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"page-{width}.png").write_bytes(picture)


# What Chromium laid out, made readable.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    words: str
    colour: tuple[float, float, float]
    behind: tuple[float, float, float]
    large: bool


def _texts(view: View) -> Iterator[_Text]:
    """Yield every visible run of text with its colour and what is behind it."""
    nodes, layout, strings = _document(
        view, ["color", "font-size", "font-weight", "visibility", "background-color"]
    )
    behind = {
        node: strings[styles[4]]
        for node, styles in zip(layout["nodeIndex"], layout["styles"], strict=True)
        if len(styles) == 5
    }
    for index, text in enumerate(layout["text"]):
        if text < 0 or not strings[text].strip():
            continue
        colour, size, weight, visibility, _ = (strings[value] for value in layout["styles"][index])
        pixels = float(size.removesuffix("px"))
        _, _, width, height = layout["bounds"][index]
        if pixels == 0 or visibility != "visible" or width < 2 or height < 2:
            continue
        yield _Text(
            words=strings[text],
            colour=_rgb(colour),
            behind=_rgb(_backdrop(layout["nodeIndex"][index], nodes["parentIndex"], behind)),
            large=pixels >= 24 or (pixels >= 18.66 and int(weight) >= 600),
        )


def _backdrop(node: int, parents: list[int], behind: dict[int, str]) -> str:
    """Return the colour of the nearest ancestor that paints one; none here is half transparent."""
    while node >= 0:
        colour = behind.get(node, "")
        if colour and not colour.endswith(", 0)"):
            assert colour.startswith("rgb("), colour
            return colour
        node = parents[node]
    raise AssertionError("nothing is painted behind the text")


def _boxes(view: View, tag: str, name: str) -> list[list[float]]:
    """Return the boxes of the elements of a class that are laid out."""
    document, layout, strings = _document(view, [])
    boxes = []
    for index, node in enumerate(layout["nodeIndex"]):
        if strings[document["nodeName"][node]].lower() == tag and _class(document, node, strings) == name:
            boxes.append(layout["bounds"][index])
    return boxes


def _cell_styles(view: View) -> dict[str, dict[str, Any]]:
    """Return the styles of one cell of each state, and of the paper they are on."""
    wanted = ["background-color", "background-image"]
    document, layout, strings = _document(view, wanted)
    styles: dict[str, dict[str, Any]] = {}
    pseudo = set(document["pseudoType"]["index"])
    crossed = {document["parentIndex"][node] for node in layout["nodeIndex"] if node in pseudo}
    for index, node in enumerate(layout["nodeIndex"]):
        tag = strings[document["nodeName"][node]].lower()
        state = "paper" if tag == "body" else _class(document, node, strings) if tag == "td" else ""
        if state and layout["styles"][index]:
            values = [strings[value] for value in layout["styles"][index]]
            styles.setdefault(state, {**dict(zip(wanted, values, strict=True)), "crossed": node in crossed})
    return styles


def _document(view: View, styles: list[str]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    shot = view.snapshot(styles)
    document = shot["documents"][0]
    return document["nodes"], document["layout"], shot["strings"]


def _class(nodes: dict[str, Any], node: int, strings: list[str]) -> str:
    pairs = nodes["attributes"][node]
    named = {strings[pairs[i]]: strings[pairs[i + 1]] for i in range(0, len(pairs), 2)}
    return str(named.get("class", ""))


# Colour: WCAG 2.2 contrast, and the common kinds of colour vision (Machado, Oliveira and Fernandes 2009).

_COLOUR_VISION: Final = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def _rgb(colour: str) -> tuple[float, float, float]:
    """Return linear red, green and blue, 0 to 1, of `rgb(…)` or `#rrggbb`."""
    if colour.startswith("#"):
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        parts = [int(float(part)) for part in re.findall(r"[\d.]+", colour)[:3]]
    red, green, blue = ((p / 255 / 12.92 if p <= 10 else ((p / 255 + 0.055) / 1.055) ** 2.4) for p in parts)
    return red, green, blue


def _luminance(colour: tuple[float, float, float]) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def _contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _seen(
    colour: tuple[float, float, float], matrix: tuple[tuple[float, float, float], ...]
) -> tuple[float, float, float]:
    red, green, blue = (
        min(1.0, max(0.0, sum(weight * part for weight, part in zip(row, colour, strict=True))))
        for row in matrix
    )
    return red, green, blue


def _distance(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return the CIE 1976 difference of two colours; about 2 can just be seen."""
    return math.dist(_lab(one), _lab(other))


def _lab(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = colour
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
