"""Which pictures are measured, and under which names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralcodec.bench.images import Photo, are_kodak, gather, pixels_of

from .conftest import save_photo


def test_folders_are_taken_one_level_deep_and_sorted(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "sub/c.png", "sub/deeper/d.png"):
        save_photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    photos, problems = gather([tmp_path])
    assert [photo.name for photo in photos] == ["a.jpg", "b.png", "c.png"]
    assert problems == []
    assert [photo.name for photo in gather([tmp_path], limit=2)[0]] == ["a.jpg", "b.png"]


def test_a_file_is_taken_whatever_its_name_says_and_only_once(tmp_path: Path) -> None:
    save_photo(tmp_path / "a.png").rename(tmp_path / "picture")
    photos, _ = gather([tmp_path / "picture", tmp_path / "picture"])
    assert [(photo.name, photo.width, photo.height) for photo in photos] == [("picture", 200, 180)]


def test_names_are_unique(tmp_path: Path) -> None:
    for seed, name in enumerate(("x/a.png", "y/a.png", "y/z/x/a.png", "b.png")):
        save_photo(tmp_path / name, seed=seed)
    photos, _ = gather([tmp_path, tmp_path / "y" / "z"])
    names = [photo.name for photo in photos]
    assert len(set(names)) == 4
    assert "b.png" in names
    assert "y/a.png" in names


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    photos, problems = gather([tmp_path])
    assert photos == []
    assert problems[0].exit_code == 2


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGBA", 3), ("I;16", 1), ("P", 3)])
@pytest.mark.filterwarnings("error")
def test_pixels_are_8_bit_colours(tmp_path: Path, mode: str, channels: int) -> None:
    image = Image.fromarray(np.full((200, 200), 40000, np.uint16)) if mode == "I;16" else None
    (image or Image.new(mode, (200, 200))).save(tmp_path / "a.png")
    pixels = pixels_of(tmp_path / "a.png")
    assert pixels.shape == (200, 200, channels)
    assert pixels.dtype == np.uint8


def test_deep_and_broken_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = np.full((161, 161), 0x8080, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    (tmp_path / "note.xcf").write_bytes(b"no picture of the table")
    photos, problems = gather([tmp_path])
    assert [photo.name for photo in photos] == ["deep.png"] and pixels_of(photos[0].path).max() == 0x80
    assert [problem.subject for problem in problems] == ["torn.jpg"]
    assert "deep.png: 16-bit pixels were reduced to 8 bits" in capsys.readouterr().err


def test_kodak_is_recognised() -> None:
    def photos(count: int, size: tuple[int, int]) -> list[Photo]:
        return [Photo(Path(), str(i), "", *size) for i in range(count)]

    assert are_kodak(photos(18, (768, 512)) + photos(6, (512, 768)))
    assert not are_kodak(photos(23, (768, 512)))
    assert not are_kodak(photos(24, (768, 511)))
