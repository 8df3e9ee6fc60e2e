"""Where the transforms run."""

from __future__ import annotations

import pytest
import torch
from conftest import photograph

import neuralcodec
from neuralcodec import UsageError
from neuralcodec.cli.main import main
from neuralcodec.models.device import transforms_device


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
        ("", False, "cpu"),
    ],
)
def test_the_device_that_is_asked_for(
    wanted: str, there: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NCODEC_DEVICE", wanted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert transforms_device().type == expected


@pytest.mark.parametrize("wanted", ["tpu", "cuda"])
def test_a_device_that_is_not_there(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_DEVICE", wanted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"device.*{wanted}"):
        neuralcodec.encode(photograph(8, 8))


def test_the_command_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setenv("NCODEC_DEVICE", "auto")  # so that it is put back
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(str(tmp_path))
    from PIL import Image

    Image.fromarray(photograph(8, 8)).save("a.png")
    assert main(["encode", "a.png", "--device", "cuda"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ncodec: error: a.png: device cuda: ")
    assert err.count("\n") == 1
    assert main(["encode", "a.png", "--device", "cpu", "--quiet"]) == 0
