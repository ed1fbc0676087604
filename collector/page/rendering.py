"""Templates made into text: the environment, the style sheet under the hash of its content, the icon.

Everything is read once, at start; a template asks only for sentences (by their keys in the catalogue) and for the
values it is given. Markup is escaped unless it is made here or in a template.
"""

import hashlib
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from collector.page import language
from collector.page.times import Moment
from firmware import __version__
from firmware.language.translator import Translator

_HERE: Final = Path(__file__).parent

_CODE: Final = re.compile(r"`([^`]+)`")
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#12344a"/>'
    '<path fill="#fff" d="M3 2h1.6v12H3zM5.4 3.5h3.4v1H5.4zM5.4 6h2v1h-2z"/>'
    '<path fill="none" stroke="#6fb3da" stroke-width="1.8" d="M5.6 11.6c1.4-1.6 2.6-1.6 4 0s2.6 1.6 4 0"/></svg>'
)


class Templates:
    """The page's templates and its one style sheet."""

    def __init__(self) -> None:
        self.stylesheet = (_HERE / "page.css").read_bytes()
        self.stylesheet_path = f"/page-{hashlib.sha256(self.stylesheet).hexdigest()[:12]}.css"
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters["marked"] = marked
        self._environment.globals.update(
            version=__version__,
            stylesheet=self.stylesheet_path,
            icon=f"data:image/svg+xml,{quote(_ICON, safe=' =:/')}",
            refresh_s=0,
            pause_href="",
            here="",
        )

    def page(self, name: str, translator: Translator, **values: object) -> str:
        """Return the template `name` filled with `values`, in the translator's language."""

        def say(key: str, **inner: object) -> Markup:
            return Markup(translator.say_as(escape, key, inner))  # noqa: S704  # escaped piece by piece

        def day(at: Moment) -> str:
            return language.day(at.date, translator.language)

        def short_day(at: Moment) -> str:
            return language.short_day(at.date, translator.language)

        return self._environment.get_template(name).render(
            say=say,
            count=translator.count,
            number=translator.number,
            day=day,
            short_day=short_day,
            language=translator.language,
            direction=language.direction(translator.language),
            **values,
        )


def marked(text: str) -> Markup:
    """Return `text` as markup, what stands between backticks as code."""
    code = Markup("<code>{}</code>")
    parts = _CODE.split(text)
    return Markup("").join(
        code.format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
