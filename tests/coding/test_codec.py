"""A picture to a file and back: any size, exact latents on any number of threads, and damage."""

import functools
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import photograph
from golden.regenerate import FOLDER, INDEX, digest, latents
from PIL import Image
from threadpoolctl import threadpool_limits

from neuralcodec import weights
from neuralcodec.arrays import Box
from neuralcodec.coding import damage, tilewise, tiling
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.latents import decode_latents, recover_latents
from neuralcodec.entropy.coder import SymbolReader
from neuralcodec.entropy.tables import Tables
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.format.chunks import parse_chunks
from neuralcodec.format.container import read_header
from neuralcodec.format.header import GRU, parse_header
from neuralcodec.models.conv.runner import Model
from neuralcodec.picture.picture import Picture
from neuralcodec.training.integers import CountingWriter

XMP = "<x:xmpmeta>é</x:xmpmeta>".encode()
EXIF = b"MM\0*\0\0\0\x08\0\0 left by a camera \xff\0"
ICC = bytes(16) + b"RGB " + bytes(108) + b"\x01\x02"


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (17, 31), (161, 160), (513, 769)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_comes_back(size: tuple[int, int], channels: int) -> None:
    picture = Picture(photograph(*size, channels=channels))
    decoded = decode_picture(encode_picture(picture, quality=90))
    assert decoded.pixels.shape == (*size, channels)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.alpha is decoded.icc is decoded.exif is decoded.xmp is None
    # Not a matter of how good the weights are: any that were trained at all are nearer than the mean.
    pixels = picture.pixels.astype(float)
    error = np.square(pixels - decoded.pixels).mean()
    assert error < max(np.square(pixels - pixels.mean()).mean(), 100)


@pytest.mark.parametrize("tile", [64, 128, 2048])
def test_every_tile_size(tile: int) -> None:
    picture = Picture(photograph(150, 200))
    data = encode_picture(picture, quality=70, tile=tile)
    assert container.read(data).header.tile == tile
    assert decode_picture(data).pixels.shape == (150, 200, 3)


def test_grey_is_the_same_as_three_equal_channels() -> None:
    grey = photograph(50, 70, channels=1)
    data = encode_picture(Picture(grey), quality=80)
    assert container.read(data).header.grey
    decoded = decode_picture(data)
    assert decoded.pixels.shape == (50, 70, 1)
    colour = encode_picture(Picture(np.repeat(grey, 3, axis=2)), quality=80)
    assert container.read(colour).tiles == container.read(data).tiles
    assert np.abs(decode_picture(colour).pixels.mean(2) - decoded.pixels[..., 0]).max() <= 0.51


def test_alpha_is_exact() -> None:
    rng = np.random.default_rng(0)
    for alpha in (rng.integers(0, 256, (33, 65)), np.add.outer(np.arange(33), np.arange(65))):
        plane = alpha.astype(np.uint8)
        decoded = decode_picture(encode_picture(Picture(photograph(33, 65), alpha=plane), quality=10))
        assert decoded.alpha is not None
        assert (decoded.alpha == plane).all()


def test_metadata_comes_back_byte_for_byte() -> None:
    picture = Picture(photograph(20, 30), icc=ICC, exif=EXIF, xmp=XMP)
    decoded = decode_picture(encode_picture(picture))
    assert (decoded.icc, decoded.exif, decoded.xmp) == (ICC, EXIF, XMP)


def test_higher_quality_is_larger_and_nearer() -> None:
    picture = Picture(photograph(192, 256))
    sizes, errors = [], []
    for quality in (0, 50, 100):
        data = encode_picture(picture, quality=quality)
        sizes.append(len(data))
        errors.append(np.square(decode_picture(data).pixels.astype(float) - picture.pixels).mean())
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert errors[0] > errors[2]


def test_the_same_call_gives_the_same_bytes() -> None:
    picture = Picture(photograph(100, 90))
    assert encode_picture(picture) == encode_picture(picture)


def test_pixels_are_not_written_to() -> None:
    pixels = photograph(40, 50)
    kept = pixels.copy()
    pixels.flags.writeable = False
    encode_picture(Picture(pixels))
    assert (pixels == kept).all()


def test_progress_rises_to_one() -> None:
    for run in (
        lambda report: encode_picture(Picture(photograph(100, 90)), tile=64, progress=report),
        lambda report: decode_picture(encode_picture(Picture(photograph(100, 90)), tile=64), progress=report),
    ):
        shares: list[float] = []
        run(shares.append)
        assert shares == sorted(shares)
        assert shares[0] > 0
        assert shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("quality", [-1, 101, 100.01, float("nan"), float("inf"), "50", True, 50j])
def test_bad_qualities_are_refused(quality: object) -> None:
    with pytest.raises(UsageError, match="quality"):
        encode_picture(Picture(photograph(8, 8)), quality=quality)  # type: ignore[arg-type]


def test_qualities_have_two_decimals() -> None:
    """A quality between two whole ones is of its own; what differs in the third decimal is the same file."""
    picture = Picture(photograph(70, 90))
    files = [encode_picture(picture, quality=quality) for quality in (62, 62.5, 62.504, np.float32(62.5), 63)]
    assert files[1] == files[2] == files[3]
    assert len({*files}) == 3
    assert read_header(files[1]).quality == 62.5
    whole, half = (decode_picture(data).pixels.astype(int) for data in files[:2])
    assert 0 < np.abs(whole - half).mean() < 4


@pytest.mark.parametrize("model", ["nope", "conv-2026", "conv-00000000", ""])
def test_unknown_models_are_refused(model: str) -> None:
    with pytest.raises(UsageError, match="no model named"):
        encode_picture(Picture(photograph(8, 8)), model=model)


@pytest.mark.parametrize("tile", [-64, 0, 63, 100, 4096])
def test_bad_tile_sizes_are_refused(tile: int) -> None:
    with pytest.raises(UsageError, match="tile"):
        encode_picture(Picture(photograph(8, 8)), tile=tile)


# ---- exactness ------------------------------------------------------------------------------------------


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets the number of threads of torch, of BLAS and of the codec."""
    before, limits = torch.get_num_threads(), threadpool_limits()

    def set_threads(count: int) -> None:
        torch.set_num_threads(count)
        threadpool_limits(count)
        monkeypatch.setenv("OMP_NUM_THREADS", str(count))

    yield set_threads
    torch.set_num_threads(before)
    limits.restore_original_limits()


def hash_of(data: bytes, model: Model) -> str:
    return digest(decode_latents(container.read(data), model).values)


Encoder = Callable[[Picture, int], tuple[bytes, str]]


@pytest.fixture
def seen_by_encoder(model: Model, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """Encodes a picture of one tile, and hashes the latents that the encoder itself went on with."""
    code = type(model.prior).code

    def encode(picture: Picture, quality: int) -> tuple[bytes, str]:
        seen: list[np.ndarray] = []

        def spy(*args: Any, **options: Any) -> np.ndarray:
            seen.append(code(*args, **options))
            return seen[-1]

        with monkeypatch.context() as patch:
            patch.setattr(type(model.prior), "code", spy)
            patch.setattr(tilewise, "COLOUR_KEPT_BELOW", 0)  # one round, and no look at what it gave
            data = encode_picture(picture, quality=quality)
        (y_hat,) = seen
        return data, digest(y_hat)

    return encode


@pytest.mark.parametrize("quality", [0, 50, 100])
@pytest.mark.parametrize("counts", [(1, 2), (2, 1)])
def test_latents_do_not_depend_on_threads(
    model: Model,
    threads: Callable[[int], None],
    seen_by_encoder: Encoder,
    quality: int,
    counts: tuple[int, int],
) -> None:
    """What the encoder went on with is, bit for bit, what every decoder finds."""
    threads(counts[0])
    data, expected = seen_by_encoder(Picture(photograph(150, 230)), quality)
    assert hash_of(data, model) == expected
    threads(counts[1])
    assert hash_of(data, model) == expected


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_latents_do_not_depend_on_the_transforms(
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    seen_by_encoder: Encoder,
    bfloat16: bool,
    layout: torch.memory_format,
) -> None:
    """An encoder of any precision and layout, a decoder of any other: the coded latents are exact."""
    picture = Picture(photograph(150, 230))
    other = Model(weights.by_name("conv"))
    other.transforms.to(memory_format=layout)  # type: ignore[call-overload]
    other.bfloat16 = bfloat16
    with monkeypatch.context() as patch:
        patch.setattr("neuralcodec.models.conv.runner.load", lambda file, device: other)
        data, expected = seen_by_encoder(picture, 60)
        pixels = decode_picture(data).pixels.astype(int)
    assert hash_of(data, model) == hash_of(data, other) == expected
    # Pixels may differ by rounding, a little more so in bfloat16.
    monkeypatch.setattr(model, "bfloat16", False)
    difference = np.abs(decode_picture(data).pixels - pixels)
    assert difference.max() <= (16 if bfloat16 else 1)
    assert difference.mean() < (1.0 if bfloat16 else 0.01)


def test_latents_do_not_depend_on_the_order_of_tiles(model: Model, threads: Callable[[int], None]) -> None:
    """Tiles one by one, backwards and in parallel. Windows are of the transforms alone, see test_tiling."""
    data = encode_picture(Picture(photograph(150, 230)), quality=60, tile=64)
    expected = hash_of(data, model)
    file = container.read(data)
    y_hat = np.empty((10, 15, model.prior.latent), np.float32)
    places = list(tiling.boxes(Box.whole(10, 15), 4))
    for box, segment in reversed(list(zip(places, file.tiles, strict=True))):
        reader = SymbolReader(model.prior.tables, segment)
        y_hat[box.slices] = model.prior.code(reader, 60, box.height, box.width)
    assert digest(y_hat) == expected
    threads(2)
    assert hash_of(data, model) == expected


def test_a_fresh_process_finds_the_same_latents(model: Model, tmp_path: Path) -> None:
    """With other thread counts from the start, and BLAS kernels for an older processor."""
    file = tmp_path / "a.nc"
    file.write_bytes(encode_picture(Picture(photograph(70, 90)), quality=60))
    program = (
        "import sys; from pathlib import Path; from golden.regenerate import digest;"
        "from neuralcodec import weights;"
        "from neuralcodec.coding import latents; from neuralcodec.format import container;"
        "from neuralcodec.models.conv.runner import load;"
        "file = container.read(Path(sys.argv[1]).read_bytes());"
        "print(digest(latents.decode_latents(file, load(weights.by_id(file.header.weights_id))).values))"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), *sys.path]),
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "OPENBLAS_CORETYPE": "Nehalem",
    }
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hash_of(file.read_bytes(), model)


# ---- golden files -----------------------------------------------------------------------------------------

GOLDEN = json.loads(INDEX.read_text())


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_files_decode_to_the_same_latents(name: str) -> None:
    """Files of the past stay decodable, to the very latents they were written with."""
    expected, data = GOLDEN[name], (FOLDER / name).read_bytes()
    identity = bytes.fromhex(expected["weights"])
    assert weights.name_of(identity) is not None, (
        f"golden files need weights {expected['weights']}, which are no longer shipped. If these were "
        "released, ship them beside the new ones; if not, run `python tests/golden/regenerate.py`"
    )
    file = container.read(data)
    assert file.header.codec.name == expected["codec"]
    assert file.header.weights_id == identity
    y_hat = latents(data)
    assert list(y_hat.shape) == expected["shape"]
    assert digest(y_hat) == expected["latents_sha256"]
    assert decode_picture(data).pixels.shape[:2] == (file.header.height, file.header.width)


def test_every_golden_file_is_listed() -> None:
    assert {path.name for path in FOLDER.glob("*.nc")} == set(GOLDEN)


# ---- damage -----------------------------------------------------------------------------------------------


@functools.cache
def samples() -> tuple[bytes, ...]:
    """Three files: plain, grey with metadata, several tiles with alpha."""
    alpha = np.add.outer(np.arange(70), np.arange(90)).astype(np.uint8)
    grey_icc = ICC[:16] + b"GRAY" + ICC[20:]
    return (
        encode_picture(Picture(photograph(48, 64))),
        encode_picture(Picture(photograph(31, 20, channels=1), icc=grey_icc, exif=EXIF, xmp=XMP)),
        encode_picture(Picture(photograph(70, 90), alpha=alpha), tile=64),
    )


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_changed_byte_is_noticed(which: int) -> None:
    data, rng = samples()[which], random.Random(which)
    places = list(range(16)) + [rng.randrange(len(data)) for _ in range(284)]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= rng.randrange(1, 256)
        with pytest.raises(DamagedFileError) as caught:
            decode_picture(bytes(damaged))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_truncated_file_is_noticed(which: int) -> None:
    data, rng = samples()[which], random.Random(which)
    ends = {*range(30), *range(len(data) - 20, len(data)), *(rng.randrange(len(data)) for _ in range(100))}
    for end in ends:
        with pytest.raises(DamagedFileError):
            decode_picture(data[:end])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_damage_that_the_checksums_hide(which: int) -> None:
    """A hostile file has good checksums: still an error of ours, or a wrong picture of the right size."""
    rng = random.Random(which)
    decoded = 0
    for _ in range(12):
        file = container.read(samples()[which])
        tile = bytearray(file.tiles[-1])
        for _ in range(2):
            tile[rng.randrange(len(tile))] = rng.randrange(256)
        file.tiles[-1] = bytes(tile[: rng.randrange(1, len(tile) + 1)])
        try:
            pixels = decode_picture(container.write(file)).pixels
        except DamagedFileError:
            continue
        decoded += 1
        assert pixels.shape[:2] == (file.header.height, file.header.width)
    assert decoded


def test_unknown_weights_and_codecs_are_refused() -> None:
    file = container.read(encode_picture(Picture(photograph(48, 64)), quality=50))
    for change, words in (
        ({"weights_id": b"\0\0\0\0"}, "weights 00000000"),
        ({"codec": GRU, "quality": 0}, "codec of the header"),
    ):
        changed = container.write(replace(file, header=replace(file.header, **change)))
        with pytest.raises(DamagedFileError, match=words):
            decode_picture(changed)


def test_limits_hold_before_anything_is_allocated() -> None:
    limits = container.Limits(max_pixels=48 * 64 - 1)
    with pytest.raises(DamagedFileError, match="limit"):
        decode_picture(samples()[0], limits=limits)


def test_files_of_other_formats_are_named() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photograph(8, 8)).save(buffer, "PNG")
    with pytest.raises(DamagedFileError, match="PNG"):
        decode_picture(buffer.getvalue())


# ---- size -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [0, 50, 100])
def test_files_are_as_large_as_the_model_estimates(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one percent and 64 bytes of the ideal code length of what the model predicts."""
    writers: list[CountingWriter] = []

    def counting(tables: Tables) -> CountingWriter:
        writers.append(CountingWriter(tables))
        return writers[-1]

    monkeypatch.setattr(tilewise, "SymbolWriter", counting)
    monkeypatch.setattr(tilewise, "COLOUR_KEPT_BELOW", 0)  # one round, so that all writers are of the file
    data = encode_picture(Picture(photograph(400, 500)), quality=quality)
    estimate = sum(writer.bits for writer in writers) / 8
    assert estimate > 100
    assert 0.99 * estimate - 64 <= len(data) <= 1.01 * estimate + 64


# ---- regions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "region", [Box(0, 1, 0, 1), Box(100, 164, 37, 240), Box(150, 200, 0, 300), Box(0, 200, 0, 300)]
)
def test_a_region_is_the_crop_of_the_whole(region: Box) -> None:
    alpha = np.arange(200 * 300, dtype=np.uint32).reshape(200, 300).astype(np.uint8)
    data = encode_picture(Picture(photograph(200, 300), alpha), tile=64)
    whole, part = decode_picture(data), decode_picture(data, region=region)
    assert part.pixels.shape == (*region.shape, 3)
    difference = part.pixels.astype(int) - whole.pixels[region.slices]
    assert np.abs(difference).max() <= 1
    assert part.alpha is not None and (part.alpha == alpha[region.slices]).all()


def test_a_region_reads_only_the_tiles_near_it() -> None:
    data = encode_picture(Picture(photograph(64 * 8, 64 * 4)), quality=50, tile=64)
    file = container.read(data)
    file.tiles[12:] = [b"\xff" * 40] * (len(file.tiles) - 12)  # nonsense, far below the region
    damaged = container.write(file)
    region = Box(0, 40, 0, 40)
    expected = decode_picture(data, region=region).pixels
    assert (decode_picture(damaged, region=region).pixels == expected).all()


@pytest.mark.parametrize("region", [Box(0, 0, 0, 5), Box(-1, 5, 0, 5), Box(0, 5, 0, 9), Box(5, 2, 0, 5)])
def test_regions_outside_are_refused(region: Box) -> None:
    data = encode_picture(Picture(photograph(8, 8)))
    with pytest.raises(UsageError, match="the region is not within the 8x8"):
        decode_picture(data, region=region)


# ---- what is left of a damaged file -----------------------------------------------------------------------


def damaged_tiles(data: bytes, *numbers: int) -> bytes:
    """With a byte of these tiles changed, and no checksum repaired."""
    start = parse_header(data)[1]
    chunks = parse_chunks(data, start, payload_limit=lambda kind: 2**30, number_limit=lambda kind: 2**20)
    changed = bytearray(data)
    for chunk in chunks:
        if chunk.kind == "T" and chunk.number in numbers:
            changed[chunk.offset + 4] ^= 1
    return bytes(changed)


@functools.cache
def tiled() -> tuple[bytes, Picture]:
    """Five by four tiles of 64 pixels, and how they decode."""
    data = encode_picture(Picture(photograph(300, 250), exif=EXIF), quality=60, tile=64)
    return data, decode_picture(data)


def test_an_intact_file_decodes_alike_with_partial() -> None:
    data, expected = tiled()
    decoded = decode_picture(data, partial=True)
    assert decoded.damage is None
    assert (decoded.pixels == expected.pixels).all()


@pytest.mark.parametrize("lost", [(0,), (19,), (5, 6, 7), (0, 4, 8, 12, 16), tuple(range(1, 20))])
def test_good_tiles_are_exact_and_lost_ones_filled(model: Model, lost: tuple[int, ...]) -> None:
    data, _ = tiled()
    expected = decode_picture(data)  # by the run time of `model`
    decoded = decode_picture(damaged_tiles(data, *lost), partial=True)
    assert decoded.damage is not None and decoded.damage.lost == lost
    assert str(decoded.damage) == f"{len(lost)} of 20 tiles recovered as approximation"
    mask = decoded.damage.map()
    assert mask.shape == (300, 250)
    assert (decoded.pixels[mask == 0] == expected.pixels[mask == 0]).all()
    tiles = list(tiling.boxes(Box.whole(300, 250), 64))
    white = np.zeros((300, 250), bool)
    for number in lost:
        white[tiles[number].slices] = True
    assert ((mask == 255) == white).all()

    file = container.read(damaged_tiles(data, *lost), strict=False)
    whole = decode_latents(container.read(data), model).values
    latents, found = recover_latents(file, model, Box(0, 19, 0, 16))
    assert found == list(lost)
    for number, box in enumerate(tiling.boxes(Box.whole(19, 16), 4)):
        same = (latents.values[box.slices] == whole[box.slices]).all()
        assert same == (number not in lost)


def test_the_fill_is_nearer_than_one_colour() -> None:
    """Its colours come from around it: in smooth surroundings, much nearer than the mean of the picture."""
    rows, columns = np.mgrid[0:256, 0:256]
    pixels = np.stack([rows * 0.9, columns * 0.9, 255 - rows * 0.5], axis=2).astype(np.uint8)
    data = encode_picture(Picture(pixels), quality=80, tile=64)
    decoded = decode_picture(damaged_tiles(data, 5), partial=True)
    tile = np.s_[64:128, 64:128]
    error = np.abs(decoded.pixels[tile].astype(int) - pixels[tile]).mean()
    assert error < 0.25 * np.abs(pixels.mean((0, 1)) - pixels[tile]).mean()


def test_regions_of_a_damaged_file() -> None:
    """The crop of the whole; what is damaged elsewhere is told but changes nothing."""
    data, expected = tiled()
    damaged = damaged_tiles(data, 5, 6)
    whole = decode_picture(damaged, partial=True)
    for region, lost in (
        (Box(40, 200, 30, 220), (5, 6)),
        (Box(64, 128, 0, 16), (5,)),
        (Box(250, 300, 0, 250), ()),
    ):
        part = decode_picture(damaged, region=region, partial=True)
        assert part.damage is not None and whole.damage is not None
        assert part.damage.lost == lost
        assert part.damage.notes
        assert (part.damage.map() == whole.damage.map()[region.slices]).all()
        assert np.abs(part.pixels.astype(int) - whole.pixels[region.slices]).max() <= 1
    assert np.abs(part.pixels.astype(int) - expected.pixels[region.slices]).max() <= 1
    with pytest.raises(DamagedFileError):
        decode_picture(damaged)


def test_damaged_alpha_and_metadata_are_left_out_and_told() -> None:
    alpha = np.arange(70 * 90).reshape(70, 90).astype(np.uint8)
    data = encode_picture(Picture(photograph(70, 90), alpha=alpha, exif=EXIF, xmp=XMP), tile=64)
    start = parse_header(data)[1]
    for kind in "Aex":
        chunks = parse_chunks(data, start, payload_limit=lambda k: 2**30, number_limit=lambda k: 2**20)
        at = next(chunk.offset for chunk in chunks if chunk.kind == kind)
        damaged = data[: at + 5] + bytes([data[at + 5] ^ 1]) + data[at + 6 :]
        decoded = decode_picture(damaged, partial=True)
        assert decoded.alpha is not None and decoded.damage is not None
        assert (decoded.alpha == (255 if kind == "A" else alpha)).all()
        assert decoded.exif == (None if kind == "e" else EXIF)
        assert decoded.xmp == (None if kind == "x" else XMP)
        assert decoded.damage.lost == ()
        assert any(f"'{kind}'" in note for note in decoded.damage.notes)
    file = container.read(data)
    file.alpha = b"nonsense"
    decoded = decode_picture(container.write(file), partial=True)
    assert decoded.damage is not None and "opaque" in decoded.damage.notes[0]


def test_tiles_that_fail_behind_a_good_checksum_are_lost() -> None:
    data, _ = tiled()
    file = container.read(data)
    for number in (7, 8):
        file.tiles[number] = b"\xff" * 9
    decoded = decode_picture(container.write(file), partial=True)
    assert decoded.damage is not None
    assert decoded.damage.lost == (7, 8)
    assert decoded.damage.notes[0].startswith("tile 7: ")


def test_groups_of_lost_tiles_share_no_context() -> None:
    tiles = [Box(0, 4, 0, 4), Box(0, 4, 12, 16), Box(8, 12, 4, 8), Box(40, 44, 0, 4)]
    assert list(damage.groups(tiles)) == [Box(0, 12, 0, 16), Box(40, 44, 0, 4)]
    assert list(damage.groups([])) == []
