"""Round trips over sizes, modes and qualities that hypothesis makes up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import photograph

pytest.importorskip("hypothesis", reason="of the extra dev")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralcodec.arrays import Box
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.errors import DamagedFileError
from neuralcodec.format import container
from neuralcodec.format.container import Container, read, read_header, write
from neuralcodec.format.header import CONV, GRU, Header
from neuralcodec.picture.alpha import pack_alpha, unpack_alpha
from neuralcodec.picture.picture import Picture

# Always the same examples, and no clock: these run beside everything else that a machine does.
stable = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

headers = st.builds(
    Header,
    codec=st.sampled_from([CONV, GRU]),
    weights_id=st.binary(min_size=4, max_size=4),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    quality=st.integers(0, 10000).map(lambda hundredths: hundredths / 100),
    tile=st.sampled_from([64, 128, 2048]),
    grey=st.booleans(),
    alpha=st.booleans(),
)
metadata = st.none() | st.binary(min_size=1, max_size=300)


@st.composite
def containers(draw: st.DrawFn) -> Container:
    header = draw(headers)
    count = header.tile_count * header.stages
    tiles = draw(st.lists(st.binary(max_size=40), min_size=count, max_size=count))
    alpha = draw(st.binary(max_size=40)) if header.alpha else None
    return Container(header, tiles, alpha, draw(metadata), draw(metadata), draw(metadata))


@settings(stable, max_examples=60)
@given(containers())
def test_containers(file: Container) -> None:
    data = write(file)
    assert read(data) == read(data, strict=False) == file
    assert read_header(data[:24]) == file.header


@settings(stable, max_examples=60)
@given(containers(), st.data())
def test_containers_with_a_stretch_overwritten(file: Container, data: st.DataObject) -> None:
    """Any damage is an error; what is read in spite of it is right."""
    whole = write(file)
    at = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=30))
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    if damaged == whole:
        return
    with pytest.raises(DamagedFileError):
        read(damaged)
    try:
        left = read(damaged, strict=False)
    except DamagedFileError:
        return
    assert left.header == file.header and left.damage
    for number, tile in enumerate(left.tiles):
        assert tile == (b"" if number in left.lost else file.tiles[number])


@settings(stable, max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for start in (b"", b"\x8eNC\x02\x01"):
        for strict in (True, False):
            with pytest.raises(DamagedFileError):
                read(start + data, strict=strict)


@settings(stable, max_examples=80)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 7, 256]))
def test_alpha_planes(height: int, width: int, seed: int, levels: int) -> None:
    plane = np.random.default_rng(seed).integers(0, levels, (height, width)).astype(np.uint8)
    assert (unpack_alpha(pack_alpha(plane), width, height) == plane).all()


@settings(stable, max_examples=100)
@given(st.binary(max_size=60), st.integers(1, 50), st.integers(1, 50))
def test_arbitrary_bytes_as_alpha(data: bytes, width: int, height: int) -> None:
    try:
        plane = unpack_alpha(data, width, height)
    except DamagedFileError:
        return
    assert plane.shape == (height, width)


sizes = st.tuples(st.integers(1, 150), st.integers(1, 150), st.sampled_from([1, 3]))
qualities = st.integers(0, 10000).map(lambda hundredths: hundredths / 100)
ways = st.tuples(st.sampled_from(["conv", "gru"]), st.sampled_from([64, 512]))


@settings(stable, max_examples=25)
@given(sizes, qualities, ways, st.data())
def test_pictures(
    tiny_models: Path,
    size: tuple[int, int, int],
    quality: float,
    way: tuple[str, int],
    data: st.DataObject,
) -> None:
    """Size, mode, alpha and metadata come back; so do regions, and with `partial` all is the same."""
    (height, width, channels), (model, tile) = size, way
    with_alpha, exif = data.draw(st.booleans()), data.draw(metadata)
    alpha = photograph(height, width, channels=1, seed=1)[..., 0] if with_alpha else None
    original = Picture(photograph(height, width, channels=channels), alpha, exif=exif)
    coded = encode_picture(original, quality=quality, model=model, tile=tile)
    decoded = decode_picture(coded)
    assert decoded.pixels.shape == (height, width, channels)
    assert decoded.exif == exif and decoded.damage is None
    assert (decoded.alpha is None) == (alpha is None) or (decoded.alpha == alpha).all()
    assert container.read(coded).header.quality == quality

    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    region = Box(top, data.draw(st.integers(top + 1, height)), left, data.draw(st.integers(left + 1, width)))
    for partial in (False, True):
        part = decode_picture(coded, region=region, partial=partial)
        assert np.abs(part.pixels.astype(int) - decoded.pixels[region.slices]).max() <= 1
        assert part.damage is None
