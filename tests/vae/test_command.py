"""`ncodec vae` as people type it: what it writes, and what it refuses before any work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from neuralcodec.cli.main import main
from neuralcodec.vae import metrics
from neuralcodec.vae.model import SHIPPED


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_train_and_look(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["vae", "train", "shapes", "--beta", "4", "--steps", "3", "--seed", "2", "-o", "a.safetensors"])
        == 0
    )
    assert re.search(r"shapes → a\.safetensors  steps 3  .*reconstruction \d+\.\d+  KL \d", said(capsys))
    with safe_open(here / "a.safetensors", "np") as file:
        trained = json.loads(file.metadata()["neuralcodec.vae"])["trained"]
    assert (trained["beta"], trained["seed"], trained["steps"], trained["data"]) == (4, 2, 3, "shapes")
    for command in (["sample"], ["traverse"], ["interpolate", "7", "9"]):
        assert main(["vae", *command, f"{command[0]}.png", "--weights", "a.safetensors"]) == 0
    assert main(["vae", "traverse", "page.html", "--weights", "a.safetensors"]) == 0
    assert (here / "page.html").read_text().startswith("<!doctype html>")


def test_a_folder_of_pictures(here: Path) -> None:
    (here / "photos").mkdir()
    Image.new("RGB", (80, 70), (200, 100, 0)).save(here / "photos" / "a.png")
    assert main(["vae", "train", "photos", "--steps", "2", "--latents", "3", "-o", "a.safetensors"]) == 0
    weights = ["--weights", "a.safetensors"]
    assert main(["vae", "sample", "s.png", "--count", "4", *weights]) == 0
    assert Image.open("s.png").size == (2 * 68 + 4, 2 * 68 + 4)
    assert main(["vae", "traverse", "t.png", "--from", "photos/a.png", "--steps", "5", *weights]) == 0
    assert main(["vae", "interpolate", "photos/a.png", "photos/a.png", "i.png", *weights]) == 0


def test_samples_follow_seed_and_temperature(here: Path, weights: Path) -> None:
    def drawn(*options: str) -> np.ndarray:
        assert main(["vae", "sample", "s.png", "-f", "--weights", str(weights), *options]) == 0
        return np.asarray(Image.open("s.png"))

    np.testing.assert_array_equal(drawn(), drawn("--seed", "0"))
    assert not np.array_equal(drawn(), drawn("--seed", "1"))
    still = drawn("--temperature", "0", "--count", "4")
    np.testing.assert_array_equal(still[4:68, 4:68], still[72:136, 72:136])


def test_score(weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_SAMPLES", 200)
    monkeypatch.setattr(metrics, "_TESTS", 100)
    assert main(["vae", "score", "--weights", str(weights), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["kl_of_each_latent"]) == 10
    assert sum(found["kl_of_each_latent"]) == pytest.approx(found["kl"])
    assert found["latents_used"] == sum(value > 0.1 for value in found["kl_of_each_latent"])
    assert 0 <= found["mutual_information_gap"] <= 1
    assert 0.1 < found["factor_vae_score"] <= 1
    assert 0 < found["wrong_pixels"] < 0.1
    assert main(["vae", "score", "--weights", str(weights)]) == 0
    assert "factor vae score: 0." in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.safetensors")))
def test_shipped_weights(name: str) -> None:
    assert (SHIPPED / f"{name}.safetensors").stat().st_size <= 2_000_000
    assert main(["vae", "sample", "s.png", "--weights", name]) == 0
    assert np.asarray(Image.open("s.png")).max() > 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "s.jpg"], "s.jpg: the name of the output ends in .png"),
        (["traverse", "t.svg"], "ends in .png or .html"),
        (["sample", "there.png"], "there.png exists: -f overwrites"),
        (["sample", "no/s.png"], "no is not a folder that exists"),
        (["sample", "s.png", "--weights", "nothing"], "no weights named nothing"),
        (["sample", "s.png", "--weights", "there.png"], "is no weights file"),
        (["sample", "s.png", "--count", "1000000"], "--count is at most 4096"),
        (["sample", "s.png", "--temperature", "-1"], "--temperature: must be a number of at least 0"),
        (["traverse", "t.png", "--steps", "101"], "--steps is at most 100"),
        (["traverse", "t.png", "--from", "none.png"], "none.png: "),
        (["interpolate", "1", "737280", "i.png"], "737280: the shapes have indices from 0 to 737279"),
        (["train", "squares", "-o", "w.safetensors"], "shapes, coloured or a folder of pictures"),
        (["train", "shapes", "-o", "w.pt"], "ends in .safetensors"),
        (
            ["train", "shapes", "-o", "w.safetensors", "--beta", "-1"],
            "--beta: must be a number of at least 0",
        ),
        (["train", "shapes", "-o", "w.safetensors", "--latents", "9999"], "from 1 to 512"),
        (["train", "shapes", "-o", "w.safetensors", "--steps", "1", "--minutes", "1"], "not allowed with"),
        (["train", "shapes"], "required: -o/--out (see ncodec vae train --help)"),
        (["walk"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
def test_refused(
    arguments: list[str], message: str, here: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "there.png").write_bytes(b"a picture")
    if arguments and arguments[0] in ("sample", "traverse", "interpolate") and "--weights" not in arguments:
        arguments = [*arguments, "--weights", str(weights)]
    assert main(["vae", *arguments]) != 0
    error = said(capsys)
    assert message in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in here.iterdir()] == ["there.png"]


def test_the_command_line_does_not_pay_for_it() -> None:
    program = "import neuralcodec.cli.main, sys; neuralcodec.cli.main.main(['vae', '--help'])"
    program += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
