"""Keeps a library out of memory that only its importer's rare paths use. For the worker, which has 15 MB.

`dataclasses` imports `inspect`, and with it `ast`, `dis` and `tokenize` (1.2 MB), for the docstring of a class
that has none, and `copy`, with it `weakref` (0.2 MB), for `asdict`. While such a library is held back, its importer gets a stand-in, which loads the real one when it
is used at all: nothing works otherwise than before. This file must never import what it holds back.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _StandIn(ModuleType):
    """Is the library to whoever uses it."""

    def get_annotations(self, of: Any, **options: Any) -> dict[str, Any]:
        """Return what `inspect.get_annotations` does: from Python 3.13 on `dataclasses` asks for those of each class."""
        if isinstance(of, type) and not options:
            found = of.__dict__.get("__annotations__")  # noqa: RUF063 - what it names instead is what is held back
            return dict(found) if isinstance(found, dict) else {}
        annotations: dict[str, Any] = self.__getattr__("get_annotations")(of, **options)
        return annotations

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def held_back(name: str) -> Iterator[None]:
    """Give who imports the library `name` (no dots) meanwhile a stand-in; do nothing if it is loaded already."""
    if name in sys.modules:
        yield
        return
    stand_in = sys.modules[name] = _StandIn(name)
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
