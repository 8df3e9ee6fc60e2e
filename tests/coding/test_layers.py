"""Conv files of two layers: a base that is a picture by itself, and details from a quality on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from tiny import TINY_DETAIL, write_detail_weights

from neuralcodec import weights
from neuralcodec.arrays import Box
from neuralcodec.cli.main import main
from neuralcodec.coding import codec
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.progressive import frames, truncate
from neuralcodec.coding.refine import _enlarged
from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.format import container
from neuralcodec.models.conv.runner import load
from neuralcodec.models.losses import distortion, lambda_at
from neuralcodec.picture.picture import Picture

#: The quality of the base under a detail layer in the plain table.
BASE = 69


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "conv.safetensors"
    write_detail_weights(path)
    return path


@pytest.fixture(autouse=True)
def _named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(file))


@pytest.fixture
def picture() -> Picture:
    return Picture(photograph(150, 210), exif=b"MM\0*\0\0\0\x08\0\0")


@pytest.fixture
def data(picture: Picture) -> bytes:
    return encode_picture(picture, quality=90, tile=64)


def error(one: Picture, other: Picture) -> float:
    return float(np.square(one.pixels.astype(float) - other.pixels).mean())


def test_details_begin_at_a_quality(picture: Picture) -> None:
    counts = {
        q: len(container.read(encode_picture(picture, quality=q, tile=64)).tiles) for q in (0, 69.99, 70, 100)
    }
    assert counts == {0: 12, 69.99: 12, 70: 24, 100: 24}


def test_the_default_is_a_score_of_70(picture: Picture) -> None:
    assert container.read(encode_picture(picture)).header.quality == 70
    assert container.read(encode_picture(picture, model="gru")).header.quality != 70


@pytest.mark.parametrize("size", [(150, 210), (40, 30)])
def test_an_effort_refines_the_details(file: Path, size: tuple[int, int]) -> None:
    """The objective falls, and the base stays as it is."""
    picture = Picture(photograph(*size))
    quick, slow = (encode_picture(picture, quality=80, effort=n) for n in (1, 6))
    assert truncate(quick, stages=1) == truncate(slow, stages=1)
    assert cost(slow, picture, file) < 0.97 * cost(quick, picture, file)


def cost(data: bytes, picture: Picture, file: Path) -> float:
    """Bits and lambda times distortion of a file of quality 80, in bits."""
    model = load(weights.by_name(file))
    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    x, x_hat = (
        torch.from_numpy(p.pixels).permute(2, 0, 1)[None].float() / 255
        for p in (picture, decode_picture(data))
    )
    level = model.levels(80).detail
    assert model.detail_tradeoff is not None and level is not None
    share = torch.tensor([level / (TINY_DETAIL.detail_levels - 1)])
    wrong = distortion(_enlarged(x), _enlarged(x_hat), model.detail_tradeoff, share)
    return 8 * len(data) + float(lambda_at(model.detail_tradeoff, share) * wrong) * pixels


def test_the_second_layer_adds_to_the_first(picture: Picture, data: bytes) -> None:
    base, whole = decode_picture(data, stage=1), decode_picture(data)
    assert error(whole, picture) < 0.9 * error(base, picture)
    assert [frame.picture.pixels.tobytes() for frame in frames(data)] == [
        base.pixels.tobytes(),
        whole.pixels.tobytes(),
    ]


def test_finer_details_cost_more(picture: Picture) -> None:
    sizes = [len(encode_picture(picture, quality=q, tile=64)) for q in (69, 70, 80, 90, 100)]
    assert sizes == sorted(set(sizes))


def test_truncating_is_encoding_the_base_alone(picture: Picture, data: bytes) -> None:
    shorter = truncate(data, stages=1)
    decoded = decode_picture(shorter)
    assert shorter == encode_picture(picture, quality=BASE, tile=64)
    assert (decoded.pixels == decode_picture(data, stage=1).pixels).all()
    assert decoded.exif == picture.exif
    assert truncate(data, size=len(data) - 1) == shorter
    with pytest.raises(UsageError, match="one layer"):
        truncate(shorter, stages=1)


def test_a_region_is_the_part_of_the_whole(data: bytes) -> None:
    region = Box(37, 101, 50, 190)
    whole = decode_picture(data).pixels[region.slices].astype(int)
    assert np.abs(decode_picture(data, region=region).pixels - whole).max() <= 1


@pytest.mark.parametrize("reduce", [2, 4, 8, 16])
def test_reduced_is_the_mean_of_the_whole(data: bytes, reduce: int) -> None:
    whole = decode_picture(data).pixels.astype(float)[:144, :208]
    means = whole.reshape(144 // reduce, reduce, 208 // reduce, reduce, 3).mean((1, 3))
    reduced = decode_picture(data, reduce=reduce).pixels[: means.shape[0], : means.shape[1]]
    assert np.abs(reduced - means).mean() < 1


def test_windows_have_no_seams(monkeypatch: pytest.MonkeyPatch, picture: Picture, data: bytes) -> None:
    whole = decode_picture(data).pixels.astype(int)
    monkeypatch.setattr("neuralcodec.coding.tiling.WINDOW", 400)
    monkeypatch.setattr("neuralcodec.coding.tiling.windows.__defaults__", (400,), raising=True)
    again = encode_picture(picture, quality=90, tile=64)
    assert np.abs(decode_picture(data).pixels - whole).max() <= 1
    assert abs(len(again) - len(data)) <= 0.01 * len(data)


def test_lost_details_leave_the_base(data: bytes) -> None:
    parsed = container.read(data)
    start = data.index(parsed.tiles[17])  # the details of tile 5
    damaged = data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :]
    with pytest.raises(DamagedFileError):
        decode_picture(damaged)
    found = decode_picture(damaged, partial=True)
    assert found.damage is not None and found.damage.lost == (5,)
    base, whole = decode_picture(data, stage=1), decode_picture(data)
    middle = np.s_[80:112, 80:112]
    assert np.abs(found.pixels[middle].astype(int) - base.pixels[middle]).mean() < 3
    assert (found.pixels[:40, 150:] == whole.pixels[:40, 150:]).all()


def test_a_lost_base_takes_its_details_along(data: bytes) -> None:
    parsed = container.read(data)
    start = data.index(parsed.tiles[5])
    damaged = data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :]
    found = decode_picture(damaged, partial=True)
    assert found.damage is not None and found.damage.lost == (5,)


def test_a_download_that_stops_shows_the_base(data: bytes) -> None:
    parsed = container.read(data)
    cut = data[: data.index(parsed.tiles[12]) - 3]
    with pytest.raises(DamagedFileError, match="cut short"):
        decode_picture(cut)
    found = decode_picture(cut, partial=True)
    assert (found.pixels == decode_picture(data, stage=1).pixels).all()
    assert found.exif == decode_picture(data).exif  # it comes before the details
    assert found.damage is not None and "first 1 of 2" in " ".join(found.damage.notes)


def test_a_layer_too_few_or_too_many_is_damage(picture: Picture, data: bytes) -> None:
    parsed = container.read(data)
    parsed.tiles = parsed.tiles[:12]
    with pytest.raises(DamagedFileError, match="1 of its 2 layers"):
        decode_picture(container.write(parsed))
    low = container.read(encode_picture(picture, quality=30, tile=64))
    low.tiles += low.tiles
    with pytest.raises(DamagedFileError, match="2 layers"):
        decode_picture(container.write(low))


def test_mutated_files_are_pictures_or_errors(picture: Picture) -> None:
    small = encode_picture(Picture(photograph(40, 70)), quality=95, tile=64)
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(small)
        for place in rng.integers(0, len(small), rng.integers(1, 4)):
            broken[place] = rng.integers(256)
        for partial in (False, True):
            try:
                shown = decode_picture(bytes(broken), partial=partial)
            except DamagedFileError:
                continue
            assert shown.pixels.ndim == 3


def test_payloads_that_pass_their_checksum_are_bounded(picture: Picture) -> None:
    """Segments of nonsense with checksums to match decode to something, or are an error."""
    parsed = container.read(encode_picture(Picture(photograph(40, 70)), quality=95, tile=64))
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 300, 4000):
        parsed.tiles[2] = rng.bytes(size)
        written = container.write(parsed)
        for partial in (False, True):
            try:
                decode_picture(written, partial=partial)
            except DamagedFileError:
                continue


def test_writer_and_reader_find_the_same_latent(file: Path, picture: Picture, data: bytes) -> None:
    from neuralcodec.coding.latents import decode_latents
    from neuralcodec.coding.tilewise import encode_tiles

    model = load(weights.by_name(file))
    parsed = container.read(data)
    assert encode_tiles(model, picture.pixels, parsed.header, effort=1) == parsed.tiles
    latents = decode_latents(parsed, model)
    assert latents.detail is not None
    assert latents.detail.shape == (2 * 10, 2 * 14, TINY_DETAIL.detail)


def test_grey_and_transparent_pictures(data: bytes) -> None:
    grey = Picture(photograph(90, 70, channels=1), alpha=np.full((90, 70), 7, np.uint8))
    found = decode_picture(encode_picture(grey, quality=95, tile=64))
    assert found.pixels.shape == (90, 70, 1) and found.alpha is not None
    assert np.square(found.pixels.astype(float) - grey.pixels).mean() < np.square(grey.pixels - 128.0).mean()


def test_samples_have_both_layers() -> None:
    from neuralcodec.coding.sampling import interpolate, sample_file

    drawn = sample_file(100, 60, quality=90, seed=3)
    assert len(drawn.tiles) == 2 * drawn.header.tile_count
    assert codec.decode_file(drawn).pixels.shape == (60, 100, 3)
    one, other = Picture(photograph(60, 100)), Picture(photograph(60, 100, seed=1))
    ends = list(interpolate(one, other, [0, 1], quality=90))
    assert (ends[0].pixels == decode_picture(encode_picture(one, quality=90)).pixels).all()
    assert (ends[1].pixels == decode_picture(encode_picture(other, quality=90)).pixels).all()


def test_the_command_line_cuts_and_tells(
    tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.nc").write_bytes(data)
    assert main(["info", str(tmp_path / "a.nc")]) == 0
    assert main(["truncate", str(tmp_path / "a.nc"), str(tmp_path / "b.nc"), "--stage", "1"]) == 0
    assert "1 of 2 stages" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "a.nc"), str(tmp_path / "b.nc")]) == 0
    assert main(["decode", str(tmp_path / "b.nc"), str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "b.nc").stat().st_size < len(data)
    capsys.readouterr()


def test_targets_are_met_across_the_border(picture: Picture) -> None:
    from neuralcodec.coding.targets import encode

    sizes = [len(encode_picture(picture, quality=q)) for q in (60, 95)]
    wanted = sum(sizes) // 2
    found = encode(picture, target_size=wanted)
    assert 0.9 * wanted <= len(found.data) <= wanted


@pytest.mark.parametrize("quality", [50, 80])
def test_batches(file: Path, quality: float) -> None:
    import torch

    import neuralcodec

    batched = neuralcodec.load_model(file)
    x = torch.from_numpy(photograph(64, 80)).permute(2, 0, 1)[None] / 255
    [data] = batched.compress(x, quality=quality)
    expected = neuralcodec.decode(data, as_array=True)
    found = batched.decompress([data])[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() <= 1


def test_details_that_the_sizes_do_not_describe_are_refused(file: Path, tmp_path: Path) -> None:
    stored, said = weights.read(weights.at(file)), weights.at(file).said
    arrays = dict(stored.arrays)
    without = {name: value for name, value in arrays.items() if name != "detail.rows"}
    few = arrays | {"detail.rows": arrays["detail.rows"][:3]}
    for number, changed in enumerate((without, few)):
        path = tmp_path / f"{number}.safetensors"
        keep = {"codec": "conv", "model": said["model"], "tradeoff": stored.tradeoff, "canary": stored.canary}
        weights.write(path, changed, **keep)
        with pytest.raises(NeuralCodecError, match="its detail layer is not the one"):
            load(weights.by_name(path))
