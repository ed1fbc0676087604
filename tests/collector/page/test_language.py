"""Each request is answered in the language it asks for; data stays in codes, with English beside it."""

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator

import pytest

from collector.page import language
from tests import catalogues
from tests.collector.page.conftest import Served, serving

PERSIAN = r"""
msgid ""
msgstr ""
"Language: fa\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\n"

msgid "page.tagline"
msgstr "اینترنت یک کشور، از درون <سنجیده>."

msgid "page.not_found_title"
msgstr "پیدا نشد"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield a page that has Persian beside English, of an empty store."""
    place = tmp_path_factory.mktemp("languages")
    catalogues.write(place / "catalogues", "fa", PERSIAN)
    with serving(place, lambda _store: time.time_ns(), place / "catalogues") as found:
        yield found


def page(served: Served, wanted: str, path: str = "/") -> str:
    return served.get(path, headers={"Accept-Language": wanted}).body.decode()


def test_a_page_is_in_the_language_that_is_asked_for(served: Served) -> None:
    persian = page(served, "fa-IR,fa;q=0.9,en;q=0.5")
    assert '<html lang="fa" dir="rtl">' in persian
    assert "اینترنت یک کشور، از درون &lt;سنجیده&gt;." in persian
    assert "No device has reported yet" in persian, "what Persian lacks is said in English"
    assert '<html lang="en" dir="ltr">' in page(served, "en")
    assert '<html lang="en" dir="ltr">' in page(served, "xx, ;q=fa, *")
    assert "پیدا نشد" in page(served, "fa", "/nowhere")


@pytest.mark.parametrize("path", ["/", "/about", "/api"])
def test_a_cache_is_told_that_the_language_counts(served: Served, path: str) -> None:
    assert "accept-language" in served.get(path).headers["vary"].lower()


def test_what_is_kept_for_one_language_is_not_taken_for_another(served: Served) -> None:
    tag = served.get("/about", headers={"Accept-Language": "fa"}).headers["etag"]
    again = served.get("/about", headers={"Accept-Language": "en", "If-None-Match": tag})
    assert again.status == 200


def test_programs_are_answered_in_english(served: Served) -> None:
    answer = served.get("/api/v1/devices/k3v9q2m7x1c8n5p4", headers={"Accept-Language": "fa"})
    assert json.loads(answer.body)["error"]["message"] == "No device k3v9q2m7x1c8n5p4 has ever reported here."


def test_requests_at_one_time_each_get_their_language(served: Served) -> None:
    wrong: list[str] = []

    def ask(wanted: str, expected: str) -> None:
        wrong.extend(wanted for _ in range(20) if expected not in page(served, wanted))

    askers = [threading.Thread(target=ask, args=(one, f'lang="{one}"')) for one in ("fa", "en", "fa", "en")]
    for one in askers:
        one.start()
    for one in askers:
        one.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", ()),
        ("fa", ("fa",)),
        ("en;q=0.5, fa-IR ,ar;q=0.8", ("fa-IR", "ar", "en")),
        ("fa;q=0, en", ("en",)),
        ("fa;q=much, en", ("en",)),
        ("fa;level=1;q=0.1, en", ("fa", "en")),
    ],
)
def test_the_header_is_read_by_quality(header: str, tags: tuple[str, ...]) -> None:
    assert language.wanted(header) == tags


def test_a_day_is_written_as_the_language_does() -> None:
    date = dt.date(2026, 11, 15)
    assert (language.day(date, "en"), language.short_day(date, "en")) == ("15 Nov 2026", "15 Nov")
    assert language.day(date, "de") == "15 Nov. 2026"
    assert (language.direction("fa"), language.direction("en")) == ("rtl", "ltr")
