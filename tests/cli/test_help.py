"""docs/cli.md and the parser say the same: commands, options, exit codes."""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from pathlib import Path

import pytest

from neuralcodec.cli import arguments
from neuralcodec.cli.arguments import parsers
from neuralcodec.cli.command import EXIT_CODES
from neuralcodec.picture.formats import FORMATS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cli.md").read_text()
#: `bench` has a page of its own.
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", PAGE, re.MULTILINE))
SECTIONS["bench"] = (DOCS / "benchmark.md").read_text()
SHARED = SECTIONS["What all commands share"]
COMMANDS = parsers()[1]


def options_of(parser: ArgumentParser) -> set[str]:
    """The options of a command, and those of its own commands."""
    found = {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            found |= {name for own in action.choices.values() for name in options_of(own)}
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command: str) -> None:
    said = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", SECTIONS[command] + SHARED))
    assert options_of(COMMANDS[command]) <= said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_documented_option_exists(command: str) -> None:
    rows = re.findall(r"^\| (`-.*?) \|", SECTIONS[command], re.MULTILINE)
    said = {name for row in rows for name in re.findall(r"`(--?[a-z][\w-]*)", row)}
    for call in re.findall(rf"^\$ .*?\bncodec {command} ([^|>\n]*)", PAGE, re.MULTILINE):
        said |= set(re.findall(r"(?<!\S)--?[a-z][\w-]*", call))
    assert said <= options_of(COMMANDS[command])


def test_every_command_is_in_the_table() -> None:
    table = re.findall(r"^\| \[`(\w+)`\]", PAGE, re.MULTILINE)
    assert table == list(COMMANDS)


def test_the_manual_page_has_all_commands_and_options() -> None:
    manpage = pytest.importorskip("argparse_manpage.manpage")
    page = str(manpage.Manpage(arguments.parser(), format="single-commands-section")).replace("\\-", "-")
    for name, parser in COMMANDS.items():
        assert f"ncodec {name}" in page
        assert all(option in page for option in options_of(parser))
    assert "exit codes" in page


def test_exit_codes_are_those_of_the_help() -> None:
    in_help = re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE)
    on_page = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert set(in_help) <= set(on_page)


def test_the_help_of_encode_names_every_format_that_is_read() -> None:
    said = (
        COMMANDS["encode"]
        .format_help()
        .upper()
        .replace(" ", "")
        .replace("HEIC", "HEIF")
        .replace("JPEGXL", "JXL")
    )
    for form in FORMATS:
        assert form.name in said.replace("\n", "")
    assert "ANYFORMAT" not in said
