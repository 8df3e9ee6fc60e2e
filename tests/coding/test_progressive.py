"""Files in stages: cut to a size, cut anywhere, shown stage by stage."""

import random
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

from neuralcodec.cli.main import main
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.progressive import contact_sheet, frames, truncate
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.format.header import GRU
from neuralcodec.format.varint import write_varint
from neuralcodec.picture.picture import Picture

EXIF = b"MM\0*\0\0\0\x08\0\0 left by a camera \xff\0"


@pytest.fixture
def picture() -> Picture:
    return Picture(photograph(100, 150), exif=EXIF)


@pytest.fixture
def data(tiny_gru: Path, picture: Picture) -> bytes:
    return encode_picture(picture, quality=100, model="gru", tile=64)


@pytest.mark.parametrize("stages", [1, 2, 5, 8])
def test_truncating_is_encoding_with_fewer_stages(data: bytes, picture: Picture, stages: int) -> None:
    fewer = encode_picture(picture, quality=GRU.quality_of(stages), model="gru", tile=64)
    shorter = truncate(data, stages=stages)
    assert shorter == fewer
    decoded = decode_picture(shorter)
    assert decoded.exif == EXIF
    assert (decoded.pixels == decode_picture(data, stage=stages).pixels).all()


def test_a_size_takes_as_many_stages_as_fit(data: bytes) -> None:
    sizes = [len(truncate(data, stages=n)) for n in range(1, 9)]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == len(data)
    for stages, size in enumerate(sizes, 1):
        assert len(truncate(data, size=size)) == size
        if stages > 1:
            assert len(truncate(data, size=size - 1)) == sizes[stages - 2]
    assert truncate(data, size=10**9) == data
    with pytest.raises(UsageError, match=f"one stage alone takes {sizes[0]:,} bytes"):
        truncate(data, size=sizes[0] - 1)


def test_truncating_twice_is_truncating_once(data: bytes) -> None:
    assert truncate(truncate(data, stages=6), stages=2) == truncate(data, stages=2)
    with pytest.raises(UsageError, match="stages 1 to 2, not 3"):
        truncate(truncate(data, stages=2), stages=3)


def test_what_cannot_be_truncated(data: bytes) -> None:
    with pytest.raises(UsageError, match="has one layer"):
        truncate(encode_picture(Picture(photograph(20, 20)), quality=50), stages=1)
    with pytest.raises(UsageError, match="either"):
        truncate(data)
    with pytest.raises(UsageError, match="either"):
        truncate(data, stages=1, size=100)


def test_frames_are_the_stages(data: bytes) -> None:
    shown = list(frames(data))
    assert [frame.stage for frame in shown] == list(range(1, 9))
    assert [frame.size for frame in shown] == [len(truncate(data, stages=n)) for n in range(1, 9)]
    for frame in shown[::3]:
        assert (frame.picture.pixels == decode_picture(data, stage=frame.stage).pixels).all()


def test_a_conv_file_is_one_frame() -> None:
    data = encode_picture(Picture(photograph(20, 30)), quality=50)
    (frame,) = frames(data)
    assert (frame.stage, frame.size) == (1, len(data))


def test_the_contact_sheet_has_every_frame(data: bytes) -> None:
    shown = list(frames(data))
    sheet = np.asarray(
        contact_sheet([frame.picture for frame in shown], [f"stage {frame.stage}" for frame in shown])
    )
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 4
    for row in range(2):
        for column in range(4):
            cell = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
            assert cell[10:100, 10:150].std() > 10  # a picture
            assert (cell[110:] < 100).any()  # and its label


# ---- the commands ----------------------------------------------------------------------------------------


@pytest.fixture
def file(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "a.nc"
    path.write_bytes(data)
    return path


def test_truncate(file: Path, data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.nc"
    assert main(["truncate", str(file), str(out), "--stage", "3"]) == 0
    assert out.read_bytes() == truncate(data, stages=3)
    assert "3 of 8 stages" in capsys.readouterr().err
    assert main(["truncate", str(file), str(out), "--size", "1kB"]) == 2
    assert "exists: -f overwrites" in capsys.readouterr().err
    assert out.read_bytes() == truncate(data, stages=3)
    limit = len(truncate(data, stages=5))
    assert main(["truncate", str(file), str(out), "--size", f"{limit}", "-f"]) == 0
    assert len(out.read_bytes()) == limit


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.nc", "b.nc"], 2, "one of the arguments --size --stage is required"),
        (["a.nc", "b.nc", "--stage", "0"], 2, "must be at least 1"),
        (["a.nc", "b.nc", "--stage", "9"], 2, "has stages 1 to 8, not 9"),
        (["a.nc", "b.nc", "--size", "20"], 2, "one stage alone takes"),
        (["a.nc", "a.nc", "--stage", "2"], 2, "is an input"),
        (["missing.nc", "b.nc", "--stage", "2"], 2, "no such file"),
        (["cut.nc", "b.nc", "--stage", "2"], 3, "cut short"),
        (["a.nc", "b.nc", "--stage", "2", "--max-pixels", "14999"], 3, "the limit is 14999"),
    ],
)
def test_truncate_refuses(
    file: Path,
    arguments: list[str],
    code: int,
    words: str,
    *,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(file.parent)
    Path("cut.nc").write_bytes(file.read_bytes()[:-9])
    assert main(["truncate", *arguments]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not Path("b.nc").exists()


def test_progressive(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = tmp_path / "original.png"
    Image.fromarray(photograph(100, 150)).save(original)
    out = tmp_path / "stages"
    assert main(["progressive", str(file), "--out", str(out), "--against", str(original)]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["sheet.png", *(f"stage-{n}.png" for n in range(1, 9))]
    last = np.asarray(Image.open(out / "stage-8.png"))
    assert (last == decode_picture(file.read_bytes()).pixels).all()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert "bytes" in lines[1] and "MS-SSIM" in lines[1]
    assert main(["progressive", str(file), "--out", str(out)]) == 2
    assert "exists: -f overwrites" in capsys.readouterr().err


def test_decode_stage(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "two.png"
    assert main(["decode", str(file), str(out), "--stage", "2"]) == 0
    expected = decode_picture(file.read_bytes(), stage=2).pixels
    assert (np.asarray(Image.open(out)) == expected).all()
    assert main(["decode", str(file), str(out), "--stage", "9", "-f"]) == 2
    assert "has stages 1 to 8, not 9" in capsys.readouterr().err
    assert (np.asarray(Image.open(out)) == expected).all()


def test_info_counts_the_stages(data: bytes) -> None:
    from neuralcodec import info

    facts = info(truncate(data, stages=3))
    assert (facts.codec, facts.stages, facts.tiles) == ("gru", 3, 18)
    assert container.read(data).header.tile_count == 6


# ---- files that were cut anywhere ------------------------------------------------------------------------


def test_two_hundred_cuts(data: bytes) -> None:
    """The picture after the last whole stage, in words as well; without a whole stage, an error."""
    shown = {frame.stage: frame.picture.pixels for frame in frames(data)}
    ends = {stages: end_of(data, stages) for stages in range(1, 9)}
    rng = random.Random(0)
    for length in [*(rng.randrange(len(data)) for _ in range(200)), ends[1], ends[1] - 1, ends[8]]:
        held = max((stages for stages, end in ends.items() if end <= length), default=0)
        if held == 0:
            with pytest.raises(DamagedFileError):
                decode_picture(data[:length], partial=True)
            continue
        decoded = decode_picture(data[:length], partial=True)
        assert (decoded.pixels == shown[held]).all()
        assert decoded.exif == EXIF
        assert decoded.damage is not None
        if held < 8:
            assert f"the first {held} of 8 stages are whole" in decoded.damage.notes


def end_of(data: bytes, stages: int) -> int:
    """Where the last chunk of a stage ends."""
    file = container.read(data)
    at = data.index(file.tiles[0]) - 2 - (len(file.tiles[0]) > 127)
    for tile in file.tiles[: stages * file.header.tile_count]:
        at += 1 + len(write_varint(len(tile))) + len(tile) + 4
    return at


def test_a_cut_file_on_the_command_line(
    file: Path, data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(data[: end_of(data, 3) + 5])
    out = tmp_path / "cut.png"
    assert main(["decode", str(file), str(out)]) == 3
    assert "(--partial decodes what is left)" in capsys.readouterr().err
    assert not out.exists()
    assert main(["decode", "--partial", str(file), str(out)]) == 4
    assert "3 of 8 stages" in capsys.readouterr().err
    assert (np.asarray(Image.open(out)) == decode_picture(data, stage=3).pixels).all()
    file.write_bytes(data[: end_of(data, 1) - 1])
    assert main(["decode", str(file), str(out), "-f"]) == 3
    assert "--partial" not in capsys.readouterr().err
    file.write_bytes(data[:12])
    assert main(["decode", "--partial", str(file), str(out), "-f"]) == 3
    assert main(["decode", str(file), str(out), "-f"]) == 3
    assert "--partial" not in capsys.readouterr().err
