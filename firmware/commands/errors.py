"""How a command of ours ends when it cannot go on: one sentence on stderr and an exit code.

2 for input that cannot be right, 1 for what could not be done, 130 for Ctrl-C (`firmware.commands.main`). A command
raises one of these for everything foreseeable, so that nobody is shown a traceback. They are click's own kind
of exception: `click.UsageError` and its like keep working beside them.
"""

from typing import ClassVar

import click


class CommandError(click.ClickException):
    """What was asked for could not be done. The message says what is wrong and what to do about it."""

    exit_code: ClassVar[int] = 1


class BadInputError(CommandError):
    """What was asked for cannot be right. The message says what was found and what is allowed."""

    exit_code: ClassVar[int] = 2
