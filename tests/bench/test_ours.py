"""Our codecs by name: which model, at which effort, and what a measurement of them depends on."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from conftest import photograph

import neuralcodec
from neuralcodec import weights
from neuralcodec.bench import ours, registry, sweep
from neuralcodec.bench.ours import Ours
from neuralcodec.cli.main import main
from neuralcodec.errors import UsageError
from neuralcodec.weights.packing import UNPACKED, as_file
from neuralcodec.weights.stored import arrays_of

from .conftest import Bench, bench, save_photo


@pytest.mark.parametrize(
    ("codec", "name", "label"),
    [
        (Ours(), "ours", "neuralcodec"),
        (Ours("tiny"), "ours-tiny", "neuralcodec tiny"),
        (Ours("conv", 9), "ours-e9", "neuralcodec, effort 9"),
        (Ours("tiny", 2), "ours-tiny-e2", "neuralcodec tiny, effort 2"),
    ],
)
def test_names_lead_back_to_the_codec(tiny_model: Path, codec: Ours, name: str, label: str) -> None:
    assert (codec.name, codec.label) == (name, label)
    assert registry.find(name) == codec


@pytest.mark.parametrize(
    "name", ["ours-", "oursgru", "ours-no-such", "ours-conv-e0", "ours-e10", "ours-../x"]
)
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(UsageError):
        registry.find(name)


def test_round_trip(tiny_model: Path) -> None:
    image = photograph(70, 90)
    codec = Ours("tiny")
    data = codec.encode(image, 50)
    assert neuralcodec.info(data).weights_name == "tiny"
    assert codec.decode(data).shape == image.shape
    assert codec.decode(codec.encode(image[:, :, :1].copy(), 50)).shape == (70, 90, 1)


def test_the_version_names_weights_code_and_effort(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Ours("tiny")
    before = codec.version()
    assert hashlib.sha256(tiny_model.read_bytes()).hexdigest()[:16] in before
    assert Ours("conv").version() != before
    assert {Ours("tiny", 5).version(), Ours("tiny", 9).version()}.isdisjoint({before})
    tiny_model.write_bytes(tiny_model.read_bytes() + b" ")
    retrained = codec.version()
    assert retrained != before
    monkeypatch.setattr(ours, "_code", lambda: "other code")
    assert codec.version() != retrained


def test_the_code_is_all_that_makes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "entropy").mkdir()
    (tmp_path / "bench").mkdir()
    (tmp_path / "codec.py").write_text("a = 1")
    monkeypatch.setattr(neuralcodec, "__file__", str(tmp_path / "__init__.py"))

    def code_after(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return ours._code.__wrapped__()

    first = code_after("bench/page.py", "a = 1")
    assert code_after("bench/page.py", "a = 2") == first
    assert code_after("entropy/coder.py", "a = 1") != first
    assert code_after("codec.py", "a = 2") != code_after("codec.py", "a = 3")


def test_no_such_model() -> None:
    with pytest.raises(UsageError, match="no-such"):
        Ours("no-such").version()
    assert "no model named 'no-such'" in (Ours("no-such").missing() or "")


def test_several_of_ours_in_one_report(tmp_path: Path, inline: pytest.MonkeyPatch, tiny_model: Path) -> None:
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    words = (photo, "--against", "jpeg", "--model", "conv,tiny", "-o", out)
    assert bench(*words, "--rounds", 1) == 0
    report = Bench(0, out, tmp_path).report
    assert list(report["codecs"]) == ["jpeg", "ours", "ours-tiny"]
    assert report["ours"] == "ours"
    assert report["codecs"]["ours-tiny"]["settings"] == [20, 60]
    assert set(report["speed"]["codecs"]) == {"jpeg", "ours", "ours-tiny"}
    assert "--model conv,tiny" in report["command"]
    assert "neuralcodec tiny" in (out / "report.html").read_text()

    measured: list[str] = []
    measure = sweep.measure
    inline.setattr(sweep, "measure", lambda task: measured.append(task.codec) or measure(task))
    # The same in another order, or as one to compare with: nothing is new, and the headline is the first.
    assert bench(*words, "--model", "tiny,conv", "--rounds", 0) == 0
    assert Bench(0, out, tmp_path).report["ours"] == "ours-tiny"
    assert bench(photo, "--against", "jpeg,ours-tiny", "--rounds", 0, "-o", out) == 0
    report = Bench(0, out, tmp_path).report
    assert list(report["codecs"]) == ["jpeg", "ours-tiny", "ours"]
    assert report["codecs"]["ours-tiny"]["settings"] == [20, 60]
    assert measured == []
    # New weights are measured anew, the others are not.
    tiny_model.write_bytes(_without_a_bit(tiny_model))
    assert bench(*words, "--rounds", 0) == 0
    assert measured == ["ours-tiny"] * 2


def test_several_efforts_in_one_report(tmp_path: Path, inline: pytest.MonkeyPatch, tiny_model: Path) -> None:
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    words = (photo, "--against", "jpeg", "--rounds", 0, "-o", out, "--model", "tiny")
    assert bench(*words, "--effort", "1,2") == 0
    report = Bench(0, out, tmp_path).report
    assert list(report["codecs"]) == ["jpeg", "ours-tiny", "ours-tiny-e2"]
    assert report["ours"] == "ours-tiny"
    assert "--model tiny --effort 1,2" in report["command"]
    sizes = {(p["codec"], p["setting"]): p["bytes"] for p in report["points"]}
    assert sizes["ours-tiny", 60] != sizes["ours-tiny-e2", 60]
    assert sizes["ours-tiny", 60] == len(Ours("tiny", 1).encode(sweep.pixels_of(photo), 60))

    measured: list[str] = []
    measure = sweep.measure
    inline.setattr(sweep, "measure", lambda task: measured.append(task.codec) or measure(task))
    assert bench(*words, "--effort", "2,3") == 0
    assert measured == ["ours-tiny-e3"] * 2
    assert Bench(0, out, tmp_path).report["ours"] == "ours-tiny-e2"


def test_a_model_in_stages(tmp_path: Path, inline: pytest.MonkeyPatch, tiny_gru: Path) -> None:
    gru = Ours("gru")
    assert gru.settings == (0, 14, 29, 43, 57, 71, 86, 100)
    image = photograph(70, 90)
    stages = [neuralcodec.info(gru.encode(image, setting)).stages for setting in gru.settings]
    assert stages == list(range(1, 9))
    assert gru.nearest([0, 3, 50, 52, 100]) == (0, 43, 57, 100)
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    words = (photo, "--against", "jpeg", "-o", out, "--rounds", 0)
    assert bench(*words, "--model", "conv,gru", "-e", "1,2") == 0
    report = Bench(0, out, tmp_path).report
    assert list(report["codecs"]) == ["jpeg", "ours", "ours-e2", "ours-gru"]
    assert report["codecs"]["ours-gru"]["settings"] == [14, 57]
    assert bench(*words, "--model", "gru") == 0
    assert Bench(0, out, tmp_path).report["ours"] == "ours-gru"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "gru", "--effort", "9"), "--effort is for other models than gru"),
        (("--against", "jpeg,ours-gru-e9"), "gru has no other effort than 1"),
        (("--effort", "0"), "must be 1 to 9"),
        (("--effort", "1,fast"), "'fast'"),
    ],
)
def test_an_effort_that_is_not_there(
    tmp_path: Path, tiny_gru: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save_photo(tmp_path / "a.png")
    assert main(["bench", str(photo), *words, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_ours_against_ours_alone(tmp_path: Path, inline: Any, tiny_model: Path) -> None:
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    assert bench(photo, "--against", "ours-tiny", "--rounds", 0, "-o", out) == 0
    report = Bench(0, out, tmp_path).report
    assert (report["ours"], report["reference"]) == ("ours", "ours-tiny")


@pytest.mark.parametrize("words", [("--model", "conv,no-such"), ("--against", "jpeg,ours-no-such")])
def test_a_model_that_is_not_there(
    tmp_path: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save_photo(tmp_path / "a.png")
    assert main(["bench", str(photo), *words, "-o", str(tmp_path / "out")]) == 2
    assert "no model named 'no-such'; there is conv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def _without_a_bit(path: Path) -> bytes:
    """A weights file with one value of the encoder changed."""
    file = weights.at(path)
    said = {name: value for name, value in file.said.items() if name != UNPACKED}
    arrays = arrays_of(file)
    arrays["transforms.analysis.stem.bias"][0] += 1
    return as_file(arrays, said)
