"""`ncodec` as people type it. Most tests call `main` in this process, since loading torch takes seconds."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import neuralcodec
from neuralcodec import weights
from neuralcodec.cli.main import main
from neuralcodec.cli.values import size as size_of
from neuralcodec.coding import codec
from neuralcodec.format import container
from neuralcodec.picture.reading import load

NCODEC = [sys.executable, "-m", "neuralcodec"]


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A colour gradient with some noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], -1)
    noisy = planes + np.random.default_rng(seed).normal(0, 5, planes.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The `.nc` file of `picture()`."""
    folder = tmp_path_factory.mktemp("coded")
    picture().save(folder / "a.png")
    assert main(["encode", str(folder / "a.png"), "--quiet"]) == 0
    return (folder / "a.nc").read_bytes()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with `a.png` in it."""
    monkeypatch.chdir(tmp_path)
    picture().save("a.png")
    return tmp_path


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if anything is encoded or decoded."""

    def work(*_: object, **__: object) -> None:
        pytest.fail("work was done before the call was checked")

    monkeypatch.setattr(codec, "encode_file", work)
    monkeypatch.setattr(codec, "decode_picture", work)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def only_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error, where nothing is on standard output."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ncodec: error: ")
    assert err.count("\n") == 1
    return err


# ---- the command itself ----------------------------------------------------------------------------------


#: Each takes longer to load than Python itself, or is not needed before there is work.
HEAVY = {"torch", "numpy", "PIL", "tqdm", "safetensors", "shtab", "multiprocessing", "ray", "concurrent"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["encode", "--help"], ["encode", "-q", "101", "a.png"], ["nothing"]],
)
def test_answers_without_loading_what_it_does_not_need(arguments: list[str]) -> None:
    """What takes the time: a clock would measure how busy the machine is."""
    program = f"""import sys; from neuralcodec.cli.main import main; main({arguments!r})
print(*{HEAVY!r} & {{*sys.modules}}, file=sys.stderr)"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""


def test_a_command_does_not_load_the_others() -> None:
    program = """import sys; from neuralcodec.cli.main import main; main(["info", "--help"])
print(*(name for name in sys.modules if name.startswith("neuralcodec.cli.commands.")), file=sys.stderr)"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "neuralcodec.cli.commands.info\n"


@pytest.mark.parametrize("command", ["encode", "decode", "info", "compare", "train", "export"])
def test_help_has_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"examples:\n  ncodec {command} " in out
    assert "exit codes:" in out


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "frobnicate",
        "encode",
        "encode a.png --bogus",
        "encode a.png -q 101",
        "encode a.png -q -1",
        "encode a.png -q 100.01",
        "encode a.png -q nan",
        "encode a.png -q half",
        "bench . -o out --qualities 12.5",
        "encode a.png --target-size 24k",
        "encode a.png --target-size 0",
        "encode a.png --target-size .2B",
        "encode a.png --target-size -5",
        "encode a.png --target-size 1e3",
        "encode a.png --target-bpp 0",
        "encode a.png --target-bpp inf",
        "encode a.png --target-msssim 1",
        "encode a.png --target-msssim nan",
        "encode a.png --target-ssimulacra2 100",
        "encode a.png --target-ssimulacra2 -3",
        "encode a.png --target-size 1kB -q 50",
        "encode a.png --target-size 1kB --target-bpp 1",
        "encode a.png -j 0",
        "encode a.png --model nothing",
        "encode a.png -e 0",
        "encode a.png --effort 10",
        "encode a.png -e best",
        "encode a.png --max-pixels none",
        "encode a.png b.png",
        "encode a.png a.png -f",
        "encode a.png missing/a.nc",
        "encode a.png .",
        "encode missing.png",
        "encode a.png b.nc c.nc",
        "encode - -o out",
        "decode missing.nc",
        "decode a.nc a.xyz",
        "decode a.nc --format xyz",
        "decode a.nc --format xyz -o out",
        "info",
        "info missing.nc",
        "compare a.png",
        "compare - -",
        "compare a.png missing.png",
        "train conv --out out",
        "train conv --data data --out out --minutes 0",
        "train conv --data data --out out --precision int4",
        "export checkpoint.safetensors a.png",
    ],
)
@pytest.mark.usefixtures("no_work")
def test_wrong_usage(arguments: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    only_error(capsys)
    assert names(here) == {"a.png"}


def test_options_stand_anywhere(here: Path) -> None:
    assert main(["encode", "a.png", "-q", "30", "b.nc", "--quiet"]) == 0
    (here / "-.png").write_bytes((here / "a.png").read_bytes())
    assert main(["encode", "--quiet", "--", "-.png"]) == 0
    assert names(here) == {"a.png", "b.nc", "-.png", "-.nc"}


# ---- encode and decode -----------------------------------------------------------------------------------


def test_round_trip_by_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "b.nc"]) == 0
    size = (here / "b.nc").stat().st_size
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"a.png → b.nc  {(here / 'a.png').stat().st_size:,} → {size:,} bytes  ")
    assert f"{8 * size / (64 * 48):.2f} bpp" in err

    assert main(["decode", "b.nc", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    with Image.open("b.png") as decoded:
        assert decoded.format == "PNG"
        error = np.asarray(decoded).astype(float) - np.asarray(picture())
    assert np.abs(error).mean() < 12


def test_quality_changes_the_size(here: Path) -> None:
    sizes = []
    for quality in ("0", "100"):
        assert main(["encode", "a.png", f"{quality}.nc", "-q", quality, "--quiet"]) == 0
        sizes.append((here / f"{quality}.nc").stat().st_size)
    assert sizes[0] < sizes[1]


def test_quality_between_whole_numbers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "-q", "62.55", "--quiet"]) == 0
    assert main(["info", "a.nc"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["quality"] == "62.55"
    assert neuralcodec.info(here / "a.nc").quality == 62.55


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24000", 24000),
        ("24kB", 24000),
        ("24 KB", 24000),
        ("24.1kB", 24100),
        ("12.3b", 12),
        (".5kib", 512),
        ("1.5MiB", 3 << 19),
        ("2MB", 2 * 10**6),
        ("1GB", 10**9),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


def test_targets(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(176, 168).save("b.png")
    assert main(["encode", "a.png", "b.png", "-o", "out", "--target-size", "0.36kB"]) == 0
    sizes = [(here / "out" / name).stat().st_size for name in ("a.nc", "b.nc")]
    assert all(0.98 * 360 <= size <= 360 for size in sizes)
    for line, name in zip(capsys.readouterr().err.splitlines(), ("a.nc", "b.nc"), strict=False):
        quality = neuralcodec.info((here / "out" / name).read_bytes()).quality
        assert f"  quality {quality:g}  " in line

    assert main(["encode", "b.png", "m.nc", "--target-msssim", ".96"]) == 0
    assert re.search(r"  quality [\d.]+  MS-SSIM 0\.(959|960|961)\d  ", capsys.readouterr().err)
    assert main(["compare", "b.png", "m.nc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ms_ssim"] == pytest.approx(0.96, abs=0.001)

    assert main(["encode", "b.png", "s.nc", "--target-ssimulacra2", "55"]) == 0
    assert re.search(r"  quality [\d.]+  SSIMULACRA2 (54\.[5-9]|55\.[0-5])\d  ", capsys.readouterr().err)

    assert main(["encode", "b.png", "bpp.nc", "--target-bpp", ".2", "--quiet"]) == 0
    assert 0.98 * 0.2 <= neuralcodec.info((here / "bpp.nc").read_bytes()).bpp <= 0.2


def test_targets_out_of_reach(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "--target-size", "30"]) == 2
    assert "a.png: the target of 30 bytes is too small: the smallest file of this " in only_error(capsys)
    assert main(["encode", "a.png", "--target-msssim", ".9"]) == 2
    assert "not defined under 161 pixels a side, and the picture has 64x48" in only_error(capsys)
    assert names(here) == {"a.png"}
    assert main(["encode", "a.png", "--target-size", "1MB"]) == 0
    warning, result = capsys.readouterr().err.splitlines()
    assert "all that quality 100 takes" in warning
    assert "  quality 100  " in result


def test_round_trip_through_pipes(here: Path) -> None:
    source = (here / "a.png").read_bytes()
    encoded = subprocess.run([*NCODEC, "encode", "-"], input=source, capture_output=True, check=True)
    assert encoded.stderr.decode().startswith("- → -  ")
    decode = [*NCODEC, "decode", "-", "-", "--format", "ppm", "--quiet"]
    decoded = subprocess.run(decode, input=encoded.stdout, capture_output=True, check=True)
    assert decoded.stderr == b""
    with Image.open(io.BytesIO(decoded.stdout)) as image:
        assert (image.format, image.size) == ("PPM", (64, 48))


@pytest.mark.parametrize(
    ("name", "format"), [("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("a.TIF", "TIFF"), ("a.bmp", "BMP")]
)
def test_extension_says_the_format(here: Path, coded: bytes, name: str, format: str) -> None:
    (here / "a.nc").write_bytes(coded)
    assert main(["decode", "a.nc", name]) == 0
    with Image.open(name) as image:
        assert image.format == format


def test_format_of_many(here: Path, coded: bytes) -> None:
    for name in ("x.nc", "y.2024"):
        (here / name).write_bytes(coded)
    assert main(["decode", "x.nc", "y.2024", "-o", "out", "--format", "jpg"]) == 0
    assert names(here / "out") == {"x.jpg", "y.2024.jpg"}


@pytest.mark.usefixtures("no_work")
def test_existing_output_is_refused_before_any_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.nc").write_bytes(b"old")
    assert main(["encode", "a.png"]) == 2
    assert "a.nc exists: -f overwrites" in only_error(capsys)
    assert main(["decode", "a.nc", "a.png"]) == 2
    assert "a.png exists" in only_error(capsys)
    assert (here / "a.nc").read_bytes() == b"old"


def test_force_overwrites(here: Path) -> None:
    (here / "a.nc").write_bytes(b"old")
    assert main(["encode", "-f", "a.png"]) == 0
    assert (here / "a.nc").stat().st_size > 3
    assert names(here) == {"a.png", "a.nc"}


def test_several_files_go_on_past_a_bad_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(seed=1).save("c.webp")
    (here / "b.png").write_bytes(b"no picture")
    assert main(["encode", "a.png", "missing.png", "b.png", "c.webp", "-o", "out"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines[:4:3]] == ["a.png → out/a.nc", "c.webp → out/c.nc"]
    assert lines[1] == "ncodec: error: missing.png: no such file"
    assert lines[2].startswith("ncodec: error: b.png: ")
    assert lines[4].startswith("2 of 4 files done, 2 failed  ")
    assert names(here / "out") == {"a.nc", "c.nc"}


def test_metadata_is_kept_or_stripped(here: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Maker"
    (here / "m.png").write_bytes(png(picture(), icc_profile=profile, exif=exif.tobytes()))

    assert main(["encode", "m.png", "kept.nc"]) == main(["decode", "kept.nc"]) == 0
    with Image.open("kept.png") as kept:
        assert kept.info["icc_profile"] == profile
        assert kept.getexif()[0x010F] == "Maker"
        assert kept.size == (64, 48)

    assert main(["encode", "m.png", "bare.nc", "--strip"]) == main(["decode", "bare.nc"]) == 0
    with Image.open("bare.png") as bare:
        assert not {"icc_profile", "exif", "xmp"} & {*bare.info}
        assert bare.size == (48, 64)  # shown as before, although nothing says so any more


def test_strip_bears_damaged_exif(here: Path) -> None:
    (here / "m.png").write_bytes(png(picture(), exif=b"Exif\0\0II*\0" + b"\xff" * 40))
    assert main(["encode", "m.png", "--strip"]) == 0


def test_alpha_and_formats_without(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = picture()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save("a.png")
    assert main(["encode", "a.png", "--quiet"]) == main(["decode", "a.nc", "b.png", "--quiet"]) == 0
    with Image.open("b.png") as decoded:
        assert decoded.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert main(["decode", "a.nc", "b.jpg"]) == 2
    assert "b.jpg: JPEG cannot hold transparency" in only_error(capsys)
    assert "b.jpg" not in names(here)


# ---- input that is not what it should be -----------------------------------------------------------------

FOREIGN = [b"", b"\x8eN", b"\x00" * 1000, b"GIF89a" + bytes(50), b"no .nc file\n" * 99, png(picture())]


@pytest.mark.parametrize("data", FOREIGN, ids=["empty", "stub", "zeros", "gif", "text", "png"])
def test_decode_refuses_what_is_not_ours(data: bytes, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "b.nc").write_bytes(data)
    for command in (["decode", "b.nc"], ["info", "b.nc"]):
        assert main(command) == 3
        assert only_error(capsys).startswith("ncodec: error: b.nc: ")
    assert names(here) == {"a.png", "b.nc"}


@pytest.mark.parametrize("data", [*FOREIGN[:5], png(picture())[:-300]])
def test_encode_refuses_what_is_no_picture(
    data: bytes, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "b.png").write_bytes(data)
    assert main(["encode", "b.png"]) == 3
    assert only_error(capsys).startswith("ncodec: error: b.png: ")
    assert names(here) == {"a.png", "b.png"}


def test_decode_refuses_damage(here: Path, coded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    flipped = bytearray(coded)
    flipped[len(coded) // 2] ^= 4
    damaged = [coded[:length] for length in range(0, len(coded), len(coded) // 20)] + [bytes(flipped)]
    for data in damaged:
        (here / "b.nc").write_bytes(data)
        assert main(["decode", "b.nc"]) == 3
        only_error(capsys)
    assert names(here) == {"a.png", "b.nc"}


def test_limits(here: Path, coded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "b.nc").write_bytes(coded)
    assert main(["decode", "b.nc", "--max-pixels", "3071"]) == 3
    assert "3071" in only_error(capsys)
    assert main(["encode", "a.png", "--max-pixels", "3071"]) != 0
    assert "3071" in only_error(capsys)
    assert main(["decode", "b.nc", "--max-pixels", "3072", "--quiet"]) == 0


def test_encoding_twice_is_a_mistake(here: Path, coded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "b.nc").write_bytes(coded)
    assert main(["encode", "b.nc", "c.nc"]) == 2
    assert "an .nc file already" in only_error(capsys)


# ---- when things fail ------------------------------------------------------------------------------------


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(codec, "encode_file", fail)


class Panic(BaseException):
    """As compiled extensions raise it, past every `except Exception`."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "a.png: not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), "a.png: not enough memory"),
        (OSError(28, "No space left on device"), "a.png: No space left on device"),
        (PermissionError(13, "Permission denied", "x"), "a.png: Permission denied"),
        (ValueError("odd\nthing"), "a.png: unexpected ValueError: odd thing: please report this"),
        (Panic("deep down"), "a.png: unexpected Panic: deep down: please report this"),
    ],
)
def test_failure_is_one_line(
    error: BaseException,
    line: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NCODEC_DEBUG", raising=False)
    fail_with(error, monkeypatch)
    assert main(["encode", "a.png"]) == 1
    assert only_error(capsys) == f"ncodec: error: {line}\n"
    assert names(here) == {"a.png"}


@pytest.mark.usefixtures("here")
def test_traceback_on_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(ValueError("odd"), monkeypatch)
    assert main(["encode", "a.png", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("NCODEC_DEBUG", "1")
    assert main(["encode", "a.png"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_stops_all_files(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(KeyboardInterrupt(), monkeypatch)
    assert main(["encode", "a.png", "a.png.png", "-o", "."]) == 130
    assert capsys.readouterr().err == (
        "ncodec: interrupted: 0 of 2 files done; the same command with --resume goes on\n"
    )
    assert main(["encode", "a.png"]) == 130
    assert capsys.readouterr().err == "ncodec: interrupted\n"
    assert names(here) == {"a.png"}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupt_of_a_process(here: Path) -> None:
    command = [*NCODEC, "encode", "-", "b.nc"]
    # A shell's background jobs ignore SIGINT, and a process inherits that from the tests if they are one.
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGINT, kept)
        assert process.stdin and process.stderr
        process.stdin.write(bytes(1 << 20))  # returns when most of it has been read: the command is at work
        # A signal that comes just before a read begins to wait is seen only when the wait ends, as everywhere
        # in Python; whoever presses Ctrl-C presses it again.
        for _ in range(100):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.3)
                break
        assert process.returncode == 130
        assert process.stderr.read() == b"ncodec: interrupted\n"
    assert names(here) == {"a.png"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_full_disk(here: Path, coded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "/dev/full"]) == 1
    assert only_error(capsys) == "ncodec: error: /dev/full: No space left on device\n"
    (here / "b.nc").write_bytes(coded)
    with Path("/dev/full").open("wb") as full:
        info = subprocess.run([*NCODEC, "info", "b.nc"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (info.returncode, info.stderr) == (1, b"ncodec: error: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_reader_that_left_is_no_error(here: Path, coded: bytes) -> None:
    (here / "b.nc").write_bytes(coded)
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([*NCODEC, "info", "b.nc"], stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


# ---- what is said ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    frames = [picture(seed=seed) for seed in range(3)]
    frames[0].save("film.webp", save_all=True, append_images=frames[1:])
    assert main(["encode", "film.webp"]) == 0
    warning, result = capsys.readouterr().err.splitlines()
    assert warning.startswith("ncodec: warning: film.webp: ")
    assert "3 frames" in warning
    assert result.startswith("film.webp → film.nc")


@pytest.mark.usefixtures("here")
def test_verbose_says_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "-v", "a.png"]) == 0
    assert capsys.readouterr().err.splitlines()[1] == "  64x48, colour"


def test_threads_reach_the_libraries(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    class Torch:
        threads = 0

        def set_num_threads(self, count: int) -> None:
            self.threads = count

    torch = Torch()
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    for name in variables:
        monkeypatch.setenv(name, "7")  # so that it is put back
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert main(["decode", str(here / "missing.nc"), "-j", "3"]) == 2
    assert [os.environ[name] for name in variables] == ["3"] * 4
    assert torch.threads == 3


# ---- info and compare ------------------------------------------------------------------------------------


def test_info(here: Path, coded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "b.nc").write_bytes(coded)
    assert main(["info", "b.nc", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {"weights", "width", "height", "quality", "tile", "tiles", "grey", "alpha", "bytes", "bpp"} <= {
        *facts
    }
    assert (facts["width"], facts["height"], facts["quality"]) == (64, 48, 70)
    assert facts["bytes"] == len(coded)
    assert main(["info", "b.nc"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert {*lines} == {*facts}
    assert (lines["width"], lines["alpha"]) == ("64", "no")


def test_compare(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(176, 168).save("big.png")
    assert main(["encode", "big.png", "--quiet"]) == 0
    assert main(["compare", "big.png", "big.nc", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    result = json.loads(out)
    assert {*result} == {"width", "height", "ms_ssim", "ms_ssim_db", "psnr", "ssimulacra2", "files"}
    assert 0.5 < result["ms_ssim"] < 1
    assert result["files"][1] == {
        "file": "big.nc",
        "bytes": (here / "big.nc").stat().st_size,
        "bpp": pytest.approx(8 * (here / "big.nc").stat().st_size / (176 * 168)),
    }
    assert main(["compare", "big.png", "big.nc"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["MS-SSIM", "PSNR", "SSIMULACRA2", "big.png", "big.nc"]


def test_compare_says_why_a_measure_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    from neuralcodec.cli.commands import compare

    picture(7, 20).save("small.png")
    for name, limit, expected in (
        ("a.png", 64 * 48 - 1, "–  only up to 4 megapixels"),
        ("small.png", 1 << 22, "–  only from 8 pixels a side"),
    ):
        monkeypatch.setattr(compare, "SSIMULACRA2_PIXELS", limit)
        assert main(["compare", name, name]) == 0
        assert f"\nSSIMULACRA2  {expected}\n" in capsys.readouterr().out
        assert main(["compare", name, name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["ssimulacra2"] is None


def test_compare_of_equals_and_of_grey(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = picture().convert("L")
    grey.save("grey.png")
    grey.convert("RGB").save("rgb.png")
    assert main(["compare", "grey.png", "rgb.png", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "161 pixels" in err
    result = json.loads(out)
    assert (result["ms_ssim"], result["psnr"]) == (pytest.approx(1), None)
    assert main(["compare", "a.png", "a.png"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert names(here) == {"a.png", "grey.png", "rgb.png"}


@pytest.mark.usefixtures("here")
def test_compare_of_other_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    picture(48, 64).save("b.png")
    assert main(["compare", "a.png", "b.png"]) == 2
    assert "64x48 and 48x64" in only_error(capsys)


# ---- train and export ------------------------------------------------------------------------------------


def test_train_passes_its_options_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuralcodec.training import loop

    calls: list[Any] = []

    class Trainer:
        def __init__(self, recipe: Any, *rest: object, **options: object) -> None:
            calls.append((recipe.training.minutes, *rest, options))

        def run(self, **options: float) -> None:
            calls.append(options)

    monkeypatch.setattr(loop, "Trainer", Trainer)
    command = "train conv --data d --out o --valid v --minutes 1.5 --precision float32 --save-minutes 2"
    command += " --start conv --compile"
    assert main(command.split()) == 0
    options = {"precision": "float32", "start": weights.by_name("conv"), "compiled": True}
    assert calls == [
        (1.5, Path("d"), Path("o"), Path("v"), options),
        {"save_minutes": 2.0, "valid_minutes": 10.0},
    ]
    assert main(["train", "missing.toml", "--data", str(here), "--out", "o"]) == 2


@pytest.mark.usefixtures("here")
def test_export_prints_its_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from neuralcodec.training import export

    calls: list[object] = []

    file = weights.by_name("conv")

    def stand_in(*arguments: object) -> tuple[weights.WeightsFile, dict[str, float]]:
        calls.append(arguments)
        return file, {"bytes": 4589416, "share": 1 / 3}

    monkeypatch.setattr(export, "export", stand_in)
    assert main(["export", "c.safetensors", "w.safetensors", "--images", "i", "--fit", "p"]) == 0
    assert capsys.readouterr().out == (
        f"file: {file.path}\nid: {file.id.hex()}\nbytes: 4589416\nshare: 0.333333\n"
    )
    assert calls == [(Path("c.safetensors"), Path("w.safetensors"), Path("i"), Path("p"))]
    assert main(["export", "c.safetensors", "a.png"]) == 2


# ---- damaged files ----------------------------------------------------------------------------------------


@pytest.fixture
def damaged(here: Path) -> Path:
    """`a.nc` of six tiles of 64 pixels, the second damaged."""
    data = bytearray(codec.encode_picture(load(picture(192, 100)), quality=50, tile=64))
    data[data.index(b"T", data.index(b"T") + data[data.index(b"T") + 1] + 6) + 4] ^= 1
    Path("a.nc").write_bytes(data)
    assert container.read(bytes(data), strict=False).lost == [1]
    return here


def test_partial_decodes_what_is_left(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for strict in ([], ["--strict"]):
        assert main(["decode", *strict, "a.nc", "b.png"]) == 3
        assert "checksum of chunk 'T'" in only_error(capsys)
        assert not Path("b.png").exists()
    assert main(["decode", "--partial", "--damage-map", "mask.png", "a.nc", "b.png"]) == 4
    err = capsys.readouterr().err
    assert "ncodec: warning: a.nc: 1 of 6 tiles recovered as approximation\n" in err
    assert "checksum of chunk 'T'" in err
    with Image.open("b.png") as decoded, Image.open("mask.png") as mask:
        assert decoded.size == mask.size == (192, 100)
        white = np.asarray(mask) == 255
    assert white[:64, 64:128].all()
    assert white.sum() == 64 * 64


def test_partial_with_a_region_and_quiet(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = [
        "decode",
        "--partial",
        "--quiet",
        "--region",
        "60,10,20,30",
        "--damage-map",
        "m.png",
        "a.nc",
        "b.png",
    ]
    assert main(call) == 4
    assert capsys.readouterr().err.splitlines()[-1] == (
        "ncodec: warning: a.nc: 1 of 6 tiles recovered as approximation"
    )
    with Image.open("b.png") as decoded, Image.open("m.png") as mask:
        assert decoded.size == mask.size == (20, 30)
        assert (np.asarray(mask)[:, 4:] == 255).all() and (np.asarray(mask)[:, :4] == 128).all()


def test_an_intact_file_decodes_with_partial_as_without(here: Path, coded: bytes) -> None:
    Path("a.nc").write_bytes(coded)
    assert main(["decode", "--partial", "--damage-map", "mask.png", "a.nc", "b.png"]) == 0
    with Image.open("mask.png") as mask:
        assert not np.asarray(mask).any()


def test_several_files_end_with_the_highest_code(damaged: Path, coded: bytes) -> None:
    Path("good.nc").write_bytes(coded)
    Path("bad.nc").write_bytes(b"nonsense")
    assert main(["decode", "--partial", "-o", "out", "a.nc", "good.nc", "bad.nc"]) == 4
    assert names(damaged / "out") == {"a.png", "good.png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--damage-map", "m.png", "a.nc", "b.png"], "--partial"),
        (["--partial", "--damage-map", "m.jpg", "a.nc", "b.png"], ".png"),
        (["--partial", "--damage-map", "a.png", "a.nc", "b.png"], "exists"),
        (["--partial", "--damage-map", "b.png", "a.nc", "b.png"], "both"),
        (["--partial", "--damage-map", "m.png", "-o", "out", "a.nc", "c.nc"], "one picture"),
        (["--partial", "--strict", "a.nc", "b.png"], "not allowed"),
    ],
)
@pytest.mark.usefixtures("no_work")
def test_wrong_calls_about_damage(
    here: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.nc").write_bytes(b"")
    assert main(["decode", *arguments]) == 2
    assert words in only_error(capsys)
    assert not Path("b.png").exists() and not Path("m.png").exists()


def test_info_says_what_is_wrong(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "a.nc"]) == 3
    out, err = capsys.readouterr()
    assert re.search(r"^lost_tiles +1$", out, re.MULTILINE)
    assert "a.nc: 1 of 6 tiles are damaged or missing: damaged file: the checksum" in err
    assert main(["info", "--json", "a.nc"]) == 3
    assert json.loads(capsys.readouterr().out)["lost_tiles"] == [1]


# ---- effort and models -----------------------------------------------------------------------------------


def test_effort_gives_another_file_that_anyone_decodes(here: Path) -> None:
    assert main(["encode", "a.png", "plain.nc", "--quiet"]) == 0
    assert main(["encode", "-e", "2", "a.png", "refined.nc", "--quiet"]) == 0
    assert (here / "plain.nc").read_bytes() != (here / "refined.nc").read_bytes()
    assert main(["decode", "refined.nc", "--quiet"]) == 0
    with Image.open("refined.png") as image:
        assert image.size == picture().size


@pytest.mark.usefixtures("tiny_gru")
def test_the_gru_model_writes_all_stages_by_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "--model", "gru", "a.png"]) == 0
    assert "quality 100" in capsys.readouterr().err
    assert container.read((here / "a.nc").read_bytes()).header.stages == 8
    assert main(["encode", "--model", "gru", "-e", "2", "-f", "a.png"]) == 2
    assert "effort" in only_error(capsys)


def test_a_process_ends_with_its_status_after_all_that_it_printed(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(neuralcodec.encode(np.zeros((9, 9), np.uint8)))
    call = [sys.executable, "-m", "neuralcodec", "info", "--json", *["a.nc"] * 300, "missing.nc"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == neuralcodec.UsageError.exit_code
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == ["a.nc"] * 300
    assert "missing.nc" in done.stderr
