"""`ncodec bench` from end to end: what it writes, what it skips, and what it says when something fails."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from neuralcodec import files
from neuralcodec.bench import peers, sweep
from neuralcodec.bench.ours import Ours
from neuralcodec.cli.commands import bench as bench_command
from neuralcodec.cli.main import main

from .conftest import Bench, bench, save_photo


def test_a_run_leaves_a_report_in_three_forms(small: Bench) -> None:
    assert small.status == 0
    written = {path.name for path in small.folder.iterdir()}
    assert written == {
        "curves.svg", "points.cache.jsonl", "report.html", "report.json", "report.md", "views.cache.jsonl"
    }  # fmt: skip
    report = small.report
    assert list(report) == [
        "schema", "command", "created", "environment", "ours", "reference", "codecs", "images", "compared",
        "summary", "versus", "matched", "speed", "views", "published", "problems", "points",
    ]  # fmt: skip
    assert report["schema"] == "neuralcodec-bench/3"
    assert list(report["codecs"]) == ["jpeg", "webp", "ours"]
    assert report["compared"] == [image["name"] for image in report["images"]]
    assert report["problems"] == []
    assert report["summary"]["jpeg"]["bd_rate"] == {
        "ms_ssim": 0, "ssimulacra2_30_60": None, "ssimulacra2_60_88": None, "psnr": 0, "haarpsi": None,
        "vsi": None,
    }  # fmt: skip
    assert len(report["points"]) == 2 * (4 + 3 + 2)
    assert {m["metric"] for m in report["matched"]} == {"ms_ssim"}  # the others were not measured
    assert all(m["bytes"] > 0 for m in report["matched"])
    assert {view["image"] for view in report["views"]} == set(report["compared"])
    assert len(report["published"]) == 8
    for values in report["speed"]["codecs"].values():
        assert values["encode_mp_s"] > 0
        assert values["decode_mp_s"] > 0


def test_sizes_are_those_of_files(small: Bench) -> None:
    point = next(p for p in small.report["points"] if p["codec"] == "jpeg" and p["setting"] == 40)
    original = sweep.pixels_of(small.photos / point["image"])
    trial = peers.attempt(peers.Jpeg(), original, 40)
    assert point["bytes"] == len(trial.data)
    assert point["ms_ssim"] == trial.ms_ssim
    assert point["bpp"] == pytest.approx(8 * len(trial.data) / (original.shape[0] * original.shape[1]))


def test_a_slow_codec_has_a_row_of_fewer_pictures(
    small: Bench, tmp_path: Path, inline: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(small.folder, out)
    inline.setattr(peers.Avif, "settings", (30, 60))
    words = (small.photos, "--against", "jpeg,avif-s4", "--subset", 1, "--rounds", 0, "-o", out)
    assert bench(*words) == 0
    report = Bench(0, out, small.photos).report
    assert {p["image"] for p in report["points"] if p["codec"] == "avif-s4"} == {"a.png"}
    assert report["compared"] == ["a.png", "b <i>&.png"]
    assert "--subset 1" in report["command"]
    assert "AVIF, speed 4 (1 picture)" in (out / "report.md").read_text()


def test_a_part_of_the_pictures_alone_is_nothing_to_compare_with(
    small: Bench, tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (small.photos, "--against", "avif-s4", "--subset", 1, "-o", tmp_path / "out")
    assert bench(*words) == 1
    assert "nothing to compare with is measured on all pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_nothing_is_begun(
    small: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ("jinja2", "scipy")
    monkeypatch.setattr(bench_command, "find_spec", lambda name: None if name in missing else object())
    assert bench(small.photos, "-o", tmp_path / "out") == 2
    assert "jinja2, scipy not installed: pip install 'neuralcodec[bench]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_report_names_no_folder_of_this_machine(small: Bench) -> None:
    for name in ("report.json", "report.md", "report.html"):
        text = (small.folder / name).read_text()
        assert str(small.photos.parent) not in text
        assert small.photos.name in text


def test_the_summary_is_printed(
    small: Bench, tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small.folder, tmp_path / "out")
    words = (small.photos, "--against", "jpeg,webp", "--rounds", 1, "--published", "-o", tmp_path / "out")
    assert bench(*words) == 0
    out, err = capsys.readouterr()
    assert "BD-rate" in out
    assert "neuralcodec against each codec" in out
    assert "18 files measured, 0 of them in this run" in err


def test_a_second_run_measures_only_what_is_new(
    small: Bench, tmp_path: Path, inline: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(small.folder, out)
    measured: list[tuple[str, int]] = []
    measure = sweep.measure
    inline.setattr(
        sweep, "measure", lambda task: measured.append((task.codec, task.setting)) or measure(task)
    )
    arguments = ["bench", str(small.photos), "--against", "jpeg,webp", "--rounds", "0", "-j", "1"]
    assert main([*arguments, "--qualities", "20,40,60", "-o", str(out)]) == 0
    assert measured == [("ours", 40)] * 2


def test_it_goes_on_where_a_killed_run_stopped(tmp_path: Path, inline: pytest.MonkeyPatch) -> None:
    photo = save_photo(tmp_path / "a.png")
    words = (photo, "--against", "jpeg", "--rounds", 0, "-o", tmp_path / "out")
    assert bench(*words) == 0
    cache = tmp_path / "out" / "points.cache.jsonl"
    lines = cache.read_bytes().splitlines(keepends=True)
    cache.write_bytes(b"".join(lines[:4]) + lines[4][:40])  # what a kill leaves
    count = 0

    def counted(task: sweep.Task) -> sweep.Measurement:
        nonlocal count
        count += 1
        return measure(task)

    measure = sweep.measure
    inline.setattr(sweep, "measure", counted)
    for expected in (len(lines) - 4, 0):
        count = 0
        assert bench(*words) == 0
        assert count == expected


def test_grey_pictures(tmp_path: Path, inline: pytest.MonkeyPatch) -> None:
    photo = save_photo(tmp_path / "a.png")
    with Image.open(photo) as image:
        image.convert("L").save(tmp_path / "grey.png")
    words = (tmp_path / "grey.png", "--against", "jpeg,webp", "--rounds", 0, "-o", tmp_path / "out")
    assert bench(*words) == 0
    assert len(Bench(0, tmp_path / "out", tmp_path).report["views"]) == 1


def test_pictures_that_cannot_be_measured(
    tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_photo(tmp_path / "in" / "good.png")
    save_photo(tmp_path / "in" / "small.png", 160, 300)
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    words = (tmp_path / "in", "--against", "jpeg", "--rounds", 0, "-o", tmp_path / "out")
    assert bench(*words) == 3
    err = capsys.readouterr().err
    assert "broken.png" in err
    assert "small.png: 300x160: MS-SSIM is not defined under 161 pixels a side" in err
    assert "Not measured" in (tmp_path / "out" / "report.html").read_text()
    assert Bench(3, tmp_path / "out", tmp_path).report["compared"] == ["good.png"]
    assert bench(tmp_path / "in" / "good.png", tmp_path / "no.png", *words[1:]) == 2
    assert bench(tmp_path / "in" / "broken.png", *words[1:]) == 2
    assert "no picture to measure on" in capsys.readouterr().err


def test_a_codec_that_is_not_there(
    tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save_photo(tmp_path / "a.png")
    inline.setattr(peers.JpegXl, "missing", lambda self: "not installed: pip install it")
    inline.setattr(peers.Avif, "settings", (30, 60))
    words = (photo, "--rounds", 0, "-o", tmp_path / "out")
    assert bench(*words) == 0  # nobody asked for it
    assert "ncodec: note: jxl: not installed" in capsys.readouterr().err
    assert bench(*words, "--against", "jpeg,jxl") == 1
    assert "ncodec: error: jxl: not installed" in capsys.readouterr().err
    problems = Bench(1, tmp_path / "out", tmp_path).report["problems"]
    assert problems == [{"subject": "jxl", "message": "not installed: pip install it"}]
    assert "jxl" in (tmp_path / "out" / "report.html").read_text()
    assert bench(*words, "--against", "jxl") == 1
    assert "no codec to compare with" in capsys.readouterr().err
    assert bench(*words, "--against", "gif") == 2
    assert bench(*words, "--model", "no-such") == 2


def test_a_codec_that_fails(
    tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_photo(tmp_path / "in" / "a.png")
    save_photo(tmp_path / "in" / "b.png", 170, 180)

    def encode(self: peers.WebP, image: Any, setting: int) -> bytes:
        if image.shape[0] == 170 or setting > limit:
            raise OSError(errno.ENOMEM, "no memory for WebP")
        return peers.PillowPeer.encode(self, image, setting)

    inline.setattr(peers.WebP, "encode", encode)
    words = (tmp_path / "in", "--against", "jpeg,webp", "--rounds", 1, "-o", tmp_path / "out")
    limit = 100
    assert bench(*words) == 1
    assert "webp: b.png: no memory for WebP (3 times)" in capsys.readouterr().err
    report = Bench(1, tmp_path / "out", tmp_path).report
    assert report["compared"] == ["a.png"]  # the means are of what all codecs did
    assert {p["image"] for p in report["points"]} == {"a.png", "b.png"}

    limit = -1
    assert bench(*words[:-1], tmp_path / "none") == 1
    assert "webp: failed on every picture: no memory for WebP (3 times)" in capsys.readouterr().err
    assert list(Bench(1, tmp_path / "none", tmp_path).report["summary"]) == ["jpeg", "ours"]


def test_ours_failing_ends_the_run(
    tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def encode(self: Ours, image: Any, setting: int) -> bytes:
        raise MemoryError

    inline.setattr(Ours, "encode", encode)
    photo = save_photo(tmp_path / "a.png")
    assert bench(photo, "--against", "jpeg", "--rounds", 0, "-o", tmp_path / "out") == 1
    assert "ours failed on every picture: MemoryError" in capsys.readouterr().err


def test_a_full_disk(
    tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small: Bench
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    photo = save_photo(tmp_path / "a.png")
    words = (photo, "--against", "jpeg", "--rounds", 0, "-o", tmp_path / "out")
    inline.setattr(files, "writing", full)
    assert bench(*words) == 1
    err = capsys.readouterr().err
    assert err.count("No space left on device") == 4
    assert "report.html: No space left on device" in err
    inline.undo()


def test_a_cache_that_cannot_grow(
    tmp_path: Path, inline: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(self: sweep.Cache, key: sweep.Key, value: Any) -> None:
        self.entries[key] = value
        raise OSError(errno.ENOSPC, "No space left on device")

    inline.setattr(sweep.Cache, "add", add)
    photo = save_photo(tmp_path / "a.png")
    assert bench(photo, "--against", "jpeg", "--rounds", 0, "-o", tmp_path / "out") == 1
    assert "points.cache.jsonl: cannot be kept for the next run: No space left" in capsys.readouterr().err
    assert Bench(1, tmp_path / "out", tmp_path).report["compared"] == ["a.png"]


def test_no_folder_to_write_into(tmp_path: Path, inline: pytest.MonkeyPatch) -> None:
    photo = save_photo(tmp_path / "a.png")
    assert bench(photo, "-o", photo) == 1
