"""Shell completion, asked of real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuralcodec.cli.main import main

pytest.importorskip("shtab")  # of an environment that is older than this dependency

needs = {
    shell: pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell}")
    for shell in ("bash", "zsh", "fish")
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture and a folder in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").touch()
    (tmp_path / "pictures").mkdir()
    return tmp_path


def script_for(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


#: What is typed, what must be offered, what must not.
CASES = [
    ("", {"encode", "decode", "info", "compare", "completion"}, {"photo.png"}),
    ("enc", {"encode"}, {"decode"}),
    ("encode --qu", {"--quality", "--quiet"}, {"--format"}),
    ("encode --model ph", {"photo.png"}, {"encode"}),
    ("encode -q 30 ph", {"photo.png"}, {"encode"}),
    ("encode photo.png p", {"photo.png"}, {"encode"}),
    ("train --data p", {"pictures"}, {"photo.png"}),
]


def offered_by(shell: str, script: str, typed: str) -> set[str]:
    words = ["ncodec", *typed.split(), *([""] if not typed or typed.endswith(" ") else [])]
    program = {
        "bash": f"""COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
            COMP_LINE="ncodec {typed}"; COMP_POINT=${{#COMP_LINE}}
            _shtab_ncodec ncodec "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
            printf '%s\\n' "${{COMPREPLY[@]}}" """,
        "fish": f'complete -C "ncodec {typed}"',
    }[shell]
    options = {"bash": ["--norc", "-c"], "fish": ["--no-config", "-c"]}[shell]
    done = subprocess.run(
        [shell, *options, f"{script}\n{program}"], capture_output=True, text=True, check=True
    )
    return {line.split("\t")[0].strip().rstrip("/") for line in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs[name]) for name in ("bash", "fish")])
@pytest.mark.usefixtures("here")
def test_bash_and_fish(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = script_for(shell, capsys)
    for typed, expected, refused in CASES:
        offered = offered_by(shell, script, typed)
        assert expected <= offered, typed
        assert not refused & offered, typed


@needs["zsh"]
def test_zsh(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shell on a terminal of its own, in which Tab is pressed."""
    import pty

    (here / "_ncodec.zsh").write_text(script_for("zsh", capsys))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("zsh", ["zsh", "-f", "-i"])

    def exchange(keys: str, until: str) -> str:
        os.write(terminal, keys.encode())
        seen, limit = "", time.monotonic() + 20
        while until not in seen and time.monotonic() < limit:
            seen += os.read(terminal, 4096).decode(errors="replace")
        assert until in seen, seen
        return seen

    try:
        exchange(
            'PS1="> "; autoload -U compinit; compinit -u -D; eval "$(<_ncodec.zsh)"; echo rea""dy\n',
            "ready\r",
        )
        exchange("ncodec enc\t", "ncodec encode")
        exchange("--qual\t", "--quality")
        exchange(" 30 ph\t", "photo.png")
        exchange("--mo\t", "--model")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def test_the_command_line_does_not_pay_for_it() -> None:
    program = "import neuralcodec.cli.main, sys; print('shtab' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
