"""Plays side by side what the tests of a module look at: such stories mostly wait, and need not wait for each other.

    @plays(worker_killed)                     # def worker_killed(folder: str) -> Any, in namespaces of its own
    def test_a_killed_worker(seen: Any) -> None: ...

    @plays((told_to_stop, 15), (told_to_stop, 2))      # a test for each

`seen` is what the story returned. What it raised, its test raises, and no other. With each story the next ones of its
module begin, so that `AT_ONCE` are played at a time, each with a folder of its own. Stories of tests that are not to be
run are not played.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests import namespaces

AT_ONCE: Final = 3
Story = tuple[Callable[..., Any], *tuple[Any, ...]]


def plays(*stories: Story | Callable[..., Any]) -> pytest.MarkDecorator:
    """Have the test see each of these stories: a function that is given a folder, or that with further arguments."""
    given: list[Story] = [story if isinstance(story, tuple) else (story,) for story in stories]
    ids = ["-".join([story[0].__name__, *map(str, story[1:])]) for story in given]
    return pytest.mark.parametrize("seen", given, indirect=True, ids=ids)


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Story], Any]]:
    """Give what plays a story of this module and returns what that returned; the next ones begin with it."""
    stories = _stories(request)
    playing: dict[Story, Future[Any]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def play(asked: Story) -> Any:
            at = stories.index(asked)
            for story in stories[at : at + AT_ONCE]:
                if story not in playing:
                    function, *arguments = story
                    folder = str(tmp_path_factory.mktemp(function.__name__))
                    playing[story] = pool.submit(namespaces.call, function, folder, *arguments)
            return playing[asked].result()

        yield play


@pytest.fixture
def seen(request: pytest.FixtureRequest, stage: Callable[[Story], Any]) -> Any:
    """Return what the test's story returned, once it has ended."""
    return stage(request.param)


def _stories(request: pytest.FixtureRequest) -> list[Story]:
    """Return the stories that tests of this module are to see, in their order."""
    of_tests: list[Any] = [
        item.callspec.params.get("seen")
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    ]
    return list(dict.fromkeys(story for story in of_tests if story))
