"""The command `tidegauge`: finds the subcommand that was asked for, and loads that one only.

The map from names to code is the entry-point group `tidegauge.commands` in pyproject.toml, so that this
package, which knows nothing of the others, can start them; `--help` reads their first lines from source
without importing them. Exit codes: 0 done, 1 could not be done, 2 bad input, 130 interrupted; a command may
add its own. This file must never import a subcommand that was not asked for.
"""

import ast
import difflib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Any, Final

import click

from firmware import __version__
from firmware.commands.errors import BadInputError, CommandError

GROUP: Final = "tidegauge.commands"
_OWN_PACKAGES: Final = ("firmware", "appliance", "collector", "provisioning")
_EXTRAS: Final = {"run": "appliance,collector"}
"""What a command needs where that is more than the extra named like its package."""
_INTERRUPTED: Final = 130


class Subcommands(click.Group):
    """The group of everything in the entry-point group, each loaded when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the subcommands' names, in order, importing none."""
        return sorted(_entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one subcommand. Raises `CommandError` where what it needs is not installed."""
        found = _entry_points().get(cmd_name)
        return None if found is None else _load(found)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a package that it imports as it goes and that is not there is no traceback either."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            found = _entry_points().get(ctx.invoked_subcommand or "")
            if found is None:
                raise
            raise CommandError(_what_is_missing(found, error.name or "")) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown name with the ones that look like it."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, known)
            hint = f"did you mean {' or '.join(near)}?" if near else f"allowed is one of {', '.join(known)}"
            raise BadInputError(f"found command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of subcommands with the first line of each one's help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, summary(found) or "(not installed here)")
                    for name, found in sorted(_entry_points().items())
                ]
            )


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidegauge", message="%(prog)s %(version)s")
def tidegauge() -> None:
    """Measure a country's Internet from inside, and keep the evidence."""


def main() -> None:
    """Run the command line and exit. No foreseeable mistake ends in a traceback."""
    try:
        returned = tidegauge.main(prog_name="tidegauge", standalone_mode=False)
        status = returned if isinstance(returned, int) else 0
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = _INTERRUPTED
    sys.exit(status)


def summary(found: importlib.metadata.EntryPoint) -> str:
    """Return the first sentence of a subcommand's docstring, read from source; "" where it cannot be."""
    try:
        spec = importlib.util.find_spec(found.module)
    except ModuleNotFoundError:
        return ""
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == found.attr:
            return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return ""


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the installed subcommands by name. Raises `CommandError` where the distribution is not installed."""
    try:
        distribution = importlib.metadata.distribution("tidegauge")
    except importlib.metadata.PackageNotFoundError as error:
        raise CommandError("tidegauge is not installed here: pip install tidegauge") from error
    return {found.name: found for found in distribution.entry_points.select(group=GROUP)}


def _load(found: importlib.metadata.EntryPoint) -> click.Command:
    try:
        command = found.load()
    except ModuleNotFoundError as error:
        raise CommandError(_what_is_missing(found, error.name or "")) from error
    if not isinstance(command, click.Command):
        raise CommandError(f"{found.value} is no command: this installation is broken, install it again")
    return command


def _what_is_missing(found: importlib.metadata.EntryPoint, module: str) -> str:
    if module.partition(".")[0] in _OWN_PACKAGES:
        return f"tidegauge {found.name}: {module} is missing: this installation is broken, install it again"
    extra = _EXTRAS.get(found.name, found.module.partition(".")[0])
    what = "tidegauge" if extra == "firmware" else f"tidegauge[{extra}]"
    return f"tidegauge {found.name} finds no {module}; this needs: pip install '{what}'"


if __name__ == "__main__":
    main()
