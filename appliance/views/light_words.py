"""What the lights say, in words, as the card for hosts has them. Pure."""

from appliance.lights.patterns import MEANINGS, Pattern, Rhythm, Situation, shown
from firmware.language.translator import Translator


def rhythm_words(pattern: Pattern, translator: Translator) -> str:
    """Return what a light does: `3 flashes, then a pause`."""
    if pattern.rhythm is Rhythm.COUNT:
        return translator.count("rhythm.count", pattern.count)
    return translator.say(f"rhythm.{pattern.rhythm}")


def what_to_do(key: str, translator: Translator) -> str:
    """Return what the host can do where a light shows `key` of `MEANINGS`."""
    own = f"light.{key}.do"
    return translator.say(own if translator.has(own) else "light.nothing-to-do")


def in_words(situation: Situation, now_ns: int, translator: Translator) -> tuple[str, ...]:
    """Return what the lights say now, a line each."""
    return tuple(
        translator.say(
            "light.line",
            light=str(MEANINGS[key].light),
            rhythm=rhythm_words(MEANINGS[key].pattern, translator),
            says=translator.say(f"light.{key}"),
        )
        for key in shown(situation, now_ns)
    )
