"""The recurrent codec's files: stages, cuts, and what is good enough."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph

from neuralcodec import weights
from neuralcodec.arrays import Box
from neuralcodec.coding import stagewise
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.families import gru
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.format.header import GRU
from neuralcodec.models.gru.runner import RecurrentModel, StageDecoder, load
from neuralcodec.picture.picture import Picture


@pytest.fixture
def model(tiny_gru: Path) -> RecurrentModel:
    return load(weights.by_name(tiny_gru / "gru.safetensors"))


@pytest.fixture
def data(tiny_gru: Path) -> bytes:
    """A picture of 2 x 3 tiles, all stages."""
    return encode_picture(Picture(photograph(100, 150)), quality=100, model="gru", tile=64)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (17, 31), (100, 161)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("tiny_gru")
def test_any_size_comes_back(size: tuple[int, int], channels: int) -> None:
    picture = Picture(photograph(*size, channels=channels))
    decoded = decode_picture(encode_picture(picture, quality=100, model="gru"))
    assert decoded.pixels.shape == (*size, channels)
    pixels = picture.pixels.astype(float)
    error = np.square(pixels - decoded.pixels).mean()
    assert error < max(np.square(pixels - pixels.mean()).mean(), 400)


@pytest.mark.parametrize(
    ("quality", "stages"), [(0, 1), (7, 1), (7.15, 2), (50, 5), (92.85, 7), (92.86, 8), (100, 8)]
)
@pytest.mark.usefixtures("tiny_gru")
def test_the_quality_is_a_number_of_stages(quality: float, stages: int) -> None:
    file = container.read(encode_picture(Picture(photograph(20, 20)), quality=quality, model="gru"))
    assert file.header.codec == GRU
    assert file.header.stages == len(file.tiles) == stages


@pytest.mark.usefixtures("tiny_gru")
def test_there_is_one_effort() -> None:
    with pytest.raises(UsageError, match="effort 2"):
        encode_picture(Picture(photograph(20, 20)), model="gru", effort=2)


@pytest.mark.parametrize("stages", range(1, 9))
def test_every_number_of_stages_has_a_quality(data: bytes, stages: int) -> None:
    assert replace(container.read(data).header, quality=GRU.quality_of(stages)).stages == stages


def test_a_stage_of_all_is_what_fewer_stages_give(data: bytes) -> None:
    picture = Picture(photograph(100, 150))
    for stages in (1, 3, 8):
        fewer = encode_picture(picture, quality=GRU.quality_of(stages), model="gru", tile=64)
        expected = decode_picture(fewer).pixels
        assert (decode_picture(data, stage=stages).pixels == expected).all()


def test_stages_come_nearer_to_the_picture(data: bytes) -> None:
    pixels = photograph(100, 150).astype(float)
    errors = [np.square(decode_picture(data, stage=n).pixels - pixels).mean() for n in (1, 3, 5, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("stage", [0, 9, -1])
def test_stages_that_are_not_there_are_refused(data: bytes, stage: int) -> None:
    with pytest.raises(UsageError, match="stages 1 to 8"):
        decode_picture(data, stage=stage)


def test_conv_files_have_no_stages() -> None:
    with pytest.raises(UsageError, match="no stages"):
        decode_picture(encode_picture(Picture(photograph(20, 20)), quality=50), stage=1)


def test_tiles_may_be_coded_by_any_number_of_threads(
    data: bytes, model: RecurrentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = container.read(data)
    expected = list(stagewise.decode_latents(model, file.tiles, file.header))
    assert len(expected) == 8
    for threads in (1, 4):
        monkeypatch.setattr(RecurrentModel, "threads", threads)
        for y_hat, other in zip(
            stagewise.decode_latents(model, file.tiles, file.header), expected, strict=True
        ):
            assert (y_hat == other).all()


def test_the_encoder_goes_on_with_what_decoders_see(
    model: RecurrentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the error of one stage would be no business of the next."""
    seen: list[np.ndarray] = []
    add = StageDecoder.add

    def noted(self: StageDecoder, y_hat: np.ndarray) -> None:
        seen.append(y_hat)
        add(self, y_hat)

    monkeypatch.setattr(StageDecoder, "add", noted)
    data = encode_picture(Picture(photograph(70, 90)), quality=50, model="gru", tile=64)
    encoded, seen[:] = list(seen), []
    decode_picture(data)
    assert len(encoded) == len(seen) == 5
    assert all((a == b).all() for a, b in zip(encoded, seen, strict=True))


def test_what_is_good_enough_costs_nothing_more(model: RecurrentModel) -> None:
    """Plain tiles beside a photograph: empty segments as soon as they are near enough."""
    pixels = np.full((128, 128, 3), 128, np.uint8)
    pixels[:, 64:] = photograph(128, 64)
    file = container.read(encode_picture(Picture(pixels), quality=100, model="gru", tile=64))
    sizes = np.array([len(tile) for tile in file.tiles]).reshape(8, 2, 2)
    assert (sizes[-1, :, 0] == 0).all()
    assert (sizes[:, :, 1] > 0).all()
    decoded = decode_picture(encode_picture(Picture(pixels), quality=100, model="gru", tile=64)).pixels
    plain = decoded[:, :48].astype(float)
    assert np.square(plain - 128).mean() < 4 * stagewise.GOOD_ENOUGH


def test_a_region_is_a_crop_of_the_whole(data: bytes) -> None:
    whole = decode_picture(data).pixels
    assert (decode_picture(data, region=Box(10, 60, 33, 140)).pixels == whole[10:60, 33:140]).all()


def test_too_large_pictures_are_refused(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gru.FAMILY, "max_pixels", 100 * 150 - 1)
    with pytest.raises(
        DamagedFileError, match="150x100 pixels are more than the 14999 that the gru model takes"
    ):
        decode_picture(data)
    with pytest.raises(UsageError, match="the conv model takes it"):
        encode_picture(Picture(photograph(100, 150)), model="gru")


@pytest.mark.usefixtures("tiny_gru")
def test_alpha_and_metadata_come_before_the_first_stage() -> None:
    alpha = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    picture = Picture(photograph(40, 50), alpha=alpha, exif=b"MM\0*\0\0\0\x08\0\0", xmp=b"<x/>")
    data = encode_picture(picture, quality=100, model="gru")
    decoded = decode_picture(data)
    assert decoded.alpha is not None
    assert (decoded.alpha == alpha).all()
    assert decoded.exif == picture.exif
    assert data.index(b"A") < data.index(container.read(data).tiles[0])


def test_mutations_never_do_more_than_raise(data: bytes, model: RecurrentModel) -> None:
    rng = random.Random(0)
    original = decode_picture(data).pixels
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
        with pytest.raises(DamagedFileError):
            decode_picture(bytes(damaged))
    assert (decode_picture(data).pixels == original).all()


def test_segments_of_another_size_are_damage(data: bytes, model: RecurrentModel) -> None:
    """With right checksums around wrong content: errors or other pixels, nothing else."""
    file = container.read(data)
    rng = random.Random(1)
    for _ in range(40):
        tiles = [bytearray(tile) for tile in file.tiles]
        victim = tiles[rng.randrange(len(tiles))]
        for _ in range(5):
            if victim:
                victim[rng.randrange(len(victim))] = rng.randrange(256)
        try:
            pixels = decode_picture(container.write(replace(file, tiles=[bytes(t) for t in tiles]))).pixels
        except DamagedFileError:
            continue
        assert pixels.shape == (100, 150, 3)


def test_weights_of_the_other_codec_are_refused(tiny_gru: Path) -> None:
    from neuralcodec.errors import NeuralCodecError

    with pytest.raises(NeuralCodecError, match="not a weights file"):
        load(weights.by_name("conv"))
