"""Regular expressions of fingerprints: they find what OONI's find, however long the page, and none may hang."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.fingerprints.expressions import MAX_TEXT, compiled, repeats, room_for, texts_of
from firmware.judgement.fingerprints.load import COLUMNS, parse
from firmware.judgement.fingerprints.table import Fingerprints

FILLER = "<p>words and <b>more</b> words</p>\n" * 2_000


def known(pattern: str) -> Fingerprints:
    cells = dict.fromkeys(COLUMNS, "") | {"name": "n", "scope": "nat", "location_found": "body"}
    cells |= {"pattern_type": "regexp", "pattern": '"' + pattern.replace('"', '""') + '"'}
    cells |= {"confidence_no_fp": "5"}
    return parse(",".join(COLUMNS) + "\n" + ",".join(cells.values()) + "\n")


class TestTextsWithAnythingBetween:
    """The form of all that OONI's list of pages had in March 2023: texts with `.*` between them."""

    @pytest.mark.parametrize("between", ["", " ", "\n", "\r\n<br>\n", FILLER])
    def test_the_second_text_may_stand_lines_further_down(self, between: str) -> None:
        page = f"<html>please write to{between}http://www.filter.example/ about it"
        assert known(r"please write to.*http://www\.filter\.example").in_page([], page.encode()) is not None

    def test_three_texts_may_stand_anywhere_in_a_long_page(self) -> None:
        page = f"{FILLER}<script>location = 'https://a.example/'{FILLER};</script>{FILLER}"
        assert len(page) < MAX_TEXT
        sought = known(r"<script>location = .*https://a\.example.*;</script>")
        assert sought.in_page([], page.encode()) is not None

    @pytest.mark.parametrize(
        "page", ["URL by Gate", "er Gate, Sp of URL ", "URL er Gate Sp", "url a Sp er Gate"]
    )
    def test_what_lacks_one_or_has_another_order_is_none(self, page: str) -> None:
        assert known("URL .* Sp.*er Gate").in_page([], page.encode()) is None

    def test_texts_do_not_share_a_character(self) -> None:
        assert known("aba.*ab").in_page([], b"abab") is None
        assert known("aba.*ab").in_page([], b"abaab") is not None

    @pytest.mark.parametrize(
        ("pattern", "texts"),
        [
            ('{"msg":.*"id":', ('{"msg":', '"id":')),
            (r"U\.S\..*Command", (r"U\.S\.", "Command")),
            (r"don.t.* \+0300", ("don.t", r" \+0300")),
            (".*all of it.*?", ("all of it",)),
            (r"\.*", ()),
            ("a{2}.*b", ()),
            ("^a.*b", ()),
            ("(a|b).*c", ()),
            ("[ab].*c", ()),
            (r"order\s+no.*", ()),
        ],
    )
    def test_which_expressions_are_of_this_form(self, pattern: str, texts: tuple[str, ...]) -> None:
        assert texts_of(pattern) == texts

    @given(
        st.lists(st.sampled_from(["a", "b", ".", ".*", ".*?", r"\.", r"\s", "{", "]"]), max_size=7),
        st.text("ab. \n{]", max_size=12),
    )
    def test_they_find_what_the_whole_expression_finds(self, parts: list[str], text: str) -> None:
        pattern = "".join(parts)
        found = re.search(pattern, text, re.DOTALL) is not None
        assert compiled(pattern).is_in(text) is found


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("abc", 0),
        ("a*b+", 2),
        ("[*+]", 0),
        (r"\*\+", 0),
        ("a{2,}b{3}", 1),
        ("[]*]x*", 1),
        ("(?:ab)+", 1),
        ("(a{3})*", 1),
    ],
)
def test_unbounded_repeats_are_counted(pattern: str, count: int) -> None:
    assert repeats(pattern) == count


@pytest.mark.parametrize("pattern", ["(a+)+", "(?:a|b*)*", "((a{2,}))+", "(a)(?P=b)", "(x(y*)z)+"])
def test_repeats_of_repeats_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"repeat|reference"):
        repeats(pattern)


@pytest.mark.parametrize("pattern", ["a.*a.*b", "a+a+b", "." * 4_000 + "b", ".*".join(["ab"] * 900)])
def test_a_page_made_for_a_pattern_does_not_hold_it_up(pattern: str) -> None:
    assert known(pattern).in_page([], b"a" * 1_000_000) is None


def test_what_can_backtrack_more_sees_less_of_a_page() -> None:
    assert room_for("a+a+b") < room_for("a+b") < room_for("^ab+c")
    assert compiled("." * 4_000).room < compiled("abc.*def").room == MAX_TEXT
