"""Every failure word has its sentence, and no sentence stands for two words."""

import pytest

from firmware.model.failure_meanings import MEANINGS, meaning
from firmware.model.failures import Failure


@pytest.mark.parametrize("word", Failure)
def test_every_word_has_one_sentence(word: Failure) -> None:
    sentence = meaning(word)
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    assert len(sentence) <= 110


def test_no_sentence_is_used_twice() -> None:
    assert len(set(MEANINGS.values())) == len(MEANINGS) == len(Failure)


def test_an_unknown_failure_says_what_it_was() -> None:
    assert "ENOBUFS: no room" in meaning("unknown_failure: ENOBUFS: no room")


def test_what_is_no_word_is_refused() -> None:
    with pytest.raises(ValueError, match="made_up"):
        meaning("made_up")
