"""Shell completion of `ncodec`'s commands, options and file names, made from the parser itself."""

from __future__ import annotations

from argparse import ArgumentParser, _SubParsersAction

import shtab

#: Arguments, as their help calls them, for which the shell offers names of files; for DIR, of folders.
_FILES = ("A", "B", "CHECKPOINT", "FILE", "IMAGE", "IN", "MODEL", "OUT", "PAGE", "PICTURE", "RECIPE")
_NAMES = dict.fromkeys(_FILES, shtab.FILE)
_NAMES["WEIGHTS"] = shtab.FILE
_NAMES["DIR"] = shtab.DIRECTORY


def script(parser: ArgumentParser, commands: dict[str, ArgumentParser], shell: str) -> str:
    """Make the completion script of a parser with its commands, for `bash`, `zsh` or `fish`."""
    for command in commands.values():
        _name_files(command)
    return shtab.complete(parser, shell)


def _name_files(parser: ArgumentParser) -> None:
    """Tell shtab which arguments are files, also in a command's own commands."""
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for own in action.choices.values():
                _name_files(own)
        elif isinstance(action.metavar, str) and action.metavar in _NAMES:
            action.complete = _NAMES[action.metavar]  # type: ignore[attr-defined]
