"""Smaller pictures: the means of squares of pixels, whichever way they come about."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
import neuralcodec.pillow_plugin
from neuralcodec.cli.main import main
from neuralcodec.coding.pixels import box_reduced
from neuralcodec.errors import UsageError
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.conv.thumbnail import thumbnail_of

SHAPES = {"colour": (150, 230, 3), "grey": (150, 230), "alpha": (150, 230, 4)}


def picture(kind: str) -> np.ndarray:
    planes = np.dstack([photograph(150, 230), photograph(150, 230, seed=1)[..., :1]])
    shape = SHAPES[kind]
    return planes[..., 0] if len(shape) == 2 else planes[..., : shape[2]]


def means(pixels: np.ndarray, reduce: int) -> np.ndarray:
    """Of squares, the plain way."""
    rows, columns = (range(0, side, reduce) for side in pixels.shape[:2])
    parts = [[pixels[y : y + reduce, x : x + reduce].mean((0, 1)) for x in columns] for y in rows]
    return np.array(parts)


@pytest.mark.parametrize("reduce", [2, 3, 16])
def test_squares_are_averaged(reduce: int) -> None:
    for pixels in (photograph(33, 50), photograph(33, 50)[..., 0], photograph(1, 1)):
        assert np.abs(box_reduced(pixels, reduce) - means(pixels, reduce)).max() <= 0.5


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("quality", [5, 70])
def test_it_is_the_whole_picture_reduced(kind: str, quality: int) -> None:
    data = neuralcodec.encode(picture(kind), quality=quality)
    whole = neuralcodec.decode(data, as_array=True)
    for reduce in (2, 4, 8, 16):
        small = neuralcodec.decode(data, reduce=reduce, as_array=True)
        error = np.abs(small - means(whole, reduce))
        assert small.dtype == np.uint8
        if reduce >= 8:  # by the network of thumbnails, of which drawn pictures at low rates ask most
            assert error.mean() < (2 if quality > 50 else 5)
        else:  # more only where the whole picture was clipped first, and where its last squares are narrower
            assert error.mean() < 1 and np.quantile(error[:-1, :-1], 0.9) < 1


@pytest.mark.parametrize("region", [(0, 0, 64, 48), (32, 16, 198, 134), (7, 9, 100, 61), (229, 149, 1, 1)])
def test_a_region_is_reduced_by_itself(region: tuple[int, int, int, int]) -> None:
    data = neuralcodec.encode(picture("alpha"), quality=60)
    part = neuralcodec.decode(data, region=region, as_array=True)
    for reduce in (4, 16):
        small = neuralcodec.decode(data, region=region, reduce=reduce, as_array=True)
        assert np.abs(small - means(part, reduce)).mean() < (2 if reduce >= 8 else 1)


@pytest.mark.parametrize("reduce", [8, 16])
def test_a_region_is_a_part_of_the_thumbnail(reduce: int) -> None:
    data = neuralcodec.encode(picture("colour"), quality=60)
    whole = neuralcodec.decode(data, reduce=reduce, as_array=True).astype(int)
    part = neuralcodec.decode(data, region=(32, 16, 96, 64), reduce=reduce, as_array=True)
    top, left = 16 // reduce, 32 // reduce
    expected = whole[top : top + part.shape[0], left : left + part.shape[1]]
    assert np.abs(part - expected).max() <= 1


@pytest.mark.usefixtures("tiny_gru")
def test_files_in_stages_are_reduced_too() -> None:
    data = neuralcodec.encode(picture("colour"), model="gru", quality=50)
    whole = neuralcodec.decode(data, as_array=True, stage=2)
    small = neuralcodec.decode(data, as_array=True, stage=2, reduce=8)
    assert np.abs(small - means(whole, 8)).max() <= 0.5


@pytest.mark.parametrize(("reduce", "shape"), [(4, (40, 60, 3)), (8, None), (16, None)])
def test_the_synthesis_makes_no_more_than_is_asked_for(
    model: Model, monkeypatch: pytest.MonkeyPatch, reduce: int, shape: tuple[int, ...] | None
) -> None:
    """Its last layers are those of a small picture, and thumbnails do without it."""
    made: list[tuple[int, ...]] = []
    synthesise = Model.synthesise

    def spy(self: Model, *args: object) -> np.ndarray:
        made.append(synthesise(self, *args).shape)
        return synthesise(self, *args)

    monkeypatch.setattr(Model, "synthesise", spy)
    data = neuralcodec.encode(picture("colour"), quality=60)
    neuralcodec.decode(data, reduce=reduce)
    assert made == ([] if shape is None else [shape])


@pytest.mark.parametrize("reduce", [8, 16])
def test_a_thumbnail_takes_a_small_part_of_the_synthesis(model: Model, reduce: int) -> None:
    small = thumbnail_of(model.id)
    assert small is not None
    y = np.random.default_rng(0).normal(0, 2, (64, 96, 128)).astype(np.float32)

    def seconds(work: Callable[[], object]) -> float:
        work()
        return min(cpu_time(work) for _ in range(3))

    assert seconds(lambda: small(y, 3.5, reduce)) < 0.25 * seconds(lambda: model.synthesise(y, 50))


def cpu_time(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.usefixtures("tiny_models")
def test_weights_without_thumbnails_average_the_synthesis() -> None:
    data = neuralcodec.encode(picture("colour"), quality=60)
    whole = neuralcodec.decode(data, as_array=True)
    for reduce in (8, 16):
        error = np.abs(neuralcodec.decode(data, reduce=reduce, as_array=True) - means(whole, reduce))
        assert np.quantile(error[:-1, :-1], 0.9) < 1


@pytest.mark.parametrize("reduce", [0, 3, 32, 2.0, "8", True, None])
def test_other_factors_are_refused(reduce: object) -> None:
    data = neuralcodec.encode(np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match="reduce must be 1, 2, 4, 8 or 16"):
        neuralcodec.decode(data, reduce=reduce)  # type: ignore[call-overload]


def test_a_damaged_picture_is_reduced() -> None:
    data = bytearray(neuralcodec.encode(picture("alpha"), quality=60))
    data[-20] ^= 1
    with pytest.warns(neuralcodec.DamageWarning):
        assert neuralcodec.decode(bytes(data), partial=True, reduce=8).size == (29, 19)


def test_pillow_makes_thumbnails_of_small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO(neuralcodec.encode(picture("colour"), quality=70))
    with Image.open(file) as image:
        assert image.draft(None, (40, 30)) == ("RGB", (0, 0, 57.5, 37.5))
        assert image.size == (58, 38)
        expected = neuralcodec.decode(file.getvalue(), reduce=4, as_array=True)
        assert (np.asarray(image) == expected).all()
        assert image.draft(None, (10, 10)) is None  # its pixels are there
    with Image.open(file) as image, Image.open(file) as whole:
        image.thumbnail((28, 28))
        whole.load()
        whole.thumbnail((28, 28))
        assert image.size == whole.size == (28, 18)
        assert np.abs(np.asarray(image).astype(int) - np.asarray(whole)).mean() < 2
    with Image.open(file) as image:
        assert image.draft(None, (200, 200)) is None and image.size == (230, 150)


def test_the_command_reduces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "a.nc", tmp_path / "a.png"
    file.write_bytes(neuralcodec.encode(picture("colour"), quality=60))
    assert main(["decode", str(file), str(out), "--reduce", "8", "--quiet"]) == 0
    with Image.open(out) as image:
        assert image.size == (29, 19)
    assert main(["decode", str(file), str(out), "--reduce", "8", "--resume", "--quiet"]) == 0
    assert main(["decode", str(file), str(out), "--reduce", "3", "-f"]) == 2
    assert "--reduce" in capsys.readouterr().err
