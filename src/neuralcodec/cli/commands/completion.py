"""`ncodec completion`: print what a shell completes with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from neuralcodec.cli.command import Command

TEXT = """\
examples:
  eval "$(ncodec completion bash)"            in ~/.bashrc
  eval "$(ncodec completion zsh)"             in ~/.zshrc, behind compinit
  ncodec completion fish > ~/.config/fish/completions/ncodec.fish

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], metavar="SHELL", help="bash, zsh or fish")


def run(args: Namespace) -> int:
    """Print the completion script, made from the parsers themselves."""
    from neuralcodec.cli import completion
    from neuralcodec.cli.arguments import parsers

    print(completion.script(*parsers(), args.shell))
    return 0


COMMAND = Command(run, add_arguments, TEXT)
