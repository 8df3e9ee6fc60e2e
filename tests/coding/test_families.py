"""A further family of models takes part in everything, by what it says of itself.

The family below is as small as one can be: means of 4x4 pixels, in numpy. In the package, adding it would
touch two files that exist, beside its own: a row of `CODECS` in `src/neuralcodec/format/header.py` and a line
in `src/neuralcodec/coding/families/__init__.py`. No other file knows which families there are. Here the
fixture `toy` adds the row and the line.
"""

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
import neuralcodec.pillow_plugin
from neuralcodec import weights
from neuralcodec.arrays import Box, Pixels, Progress
from neuralcodec.bench import registry
from neuralcodec.cli.main import main
from neuralcodec.coding.families import FAMILIES, family_of
from neuralcodec.coding.families.protocol import Decoded, Family
from neuralcodec.coding.pixels import Kept, box_reduced
from neuralcodec.coding.tiling import boxes
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container
from neuralcodec.format.header import CODECS, Codec, Header
from neuralcodec.picture.metrics import psnr
from neuralcodec.weights import WeightsFile

TOY = Codec(200, "toy")
BLOCK = 4


class ToyFamily(Family):
    """Means of blocks, in steps that the quality and the weights say, deflated."""

    codec = TOY
    summary = "means of blocks"
    quality = 30.0
    tile = 64
    max_pixels = 10**6

    def load(self, file: WeightsFile, device: str | None, *, effort: int = 1) -> float:
        return float(weights.read(file).arrays["step"][0])

    def encode(
        self,
        model: float,
        pixels: Pixels,
        header: Header,
        *,
        effort: int,
        report: Progress,
        kept: Kept | None,
    ) -> list[bytes]:
        step = self._step(model, header)
        return [self._code(pixels[box.slices], step) for box in self._tiles(header)]

    def decode(
        self,
        model: float,
        file: Container,
        region: Box,
        *,
        stages: int,
        reduce: int,
        partial: bool,
        report: Progress,
    ) -> Decoded:
        header = file.header
        whole = np.full((header.height, header.width, 1 if header.grey else 3), 128, np.uint8)
        lost = []
        for number, box in enumerate(self._tiles(header)):
            if not box.overlaps(region):
                continue
            if number in file.lost:
                lost.append(number)
                continue
            across = -(-box.width // BLOCK)
            try:
                data = np.frombuffer(zlib.decompress(file.tiles[number]), np.uint8)
            except zlib.error as error:
                raise DamagedFileError(f"tile {number}: {error}") from None
            means = data.reshape(-1, across, whole.shape[2]) * self._step(model, header)
            shown = means.clip(0, 255).astype(np.uint8).repeat(BLOCK, 0).repeat(BLOCK, 1)
            whole[box.slices] = shown[: box.height, : box.width]
        report(1.0)
        return Decoded(box_reduced(whole[region.slices], reduce), lost)

    @staticmethod
    def _tiles(header: Header) -> list[Box]:
        return list(boxes(Box.whole(header.height, header.width), header.tile))

    @staticmethod
    def _step(finest: float, header: Header) -> float:
        return finest * 2 ** ((100 - header.quality) / 20)

    @staticmethod
    def _code(pixels: Pixels, step: float) -> bytes:
        height, width = (-side % BLOCK for side in pixels.shape[:2])
        padded = np.pad(pixels.astype(float), ((0, height), (0, width), (0, 0)), mode="edge")
        rows, columns = (side // BLOCK for side in padded.shape[:2])
        means = padded.reshape(rows, BLOCK, columns, BLOCK, -1).mean((1, 3))
        return zlib.compress(np.rint(means / step).astype(np.uint8).tobytes(), 9)


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register the family, with one weights file and an older one; their folder."""
    monkeypatch.setitem(CODECS, TOY.id, TOY)
    monkeypatch.setitem(FAMILIES, TOY, ToyFamily())
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, step in (("toy", 2.0), ("toy-2025-01-01", 3.0)):
        arrays = {"step": np.array([step], np.float32)}
        weights.write(
            folder / f"{name}.safetensors", arrays, codec="toy", model={}, tradeoff=weights.Tradeoff()
        )
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    return folder


@pytest.mark.parametrize("shape", [(70, 90, 3), (70, 90, 1), (70, 90, 4), (1, 1, 3)])
def test_it_encodes_and_decodes(shape: tuple[int, ...]) -> None:
    pixels = photograph(70, 90)[:, :, [0, 1, 2, 0]][: shape[0], : shape[1], : shape[2]]
    data = neuralcodec.encode(pixels, model="toy", quality=100)
    decoded = neuralcodec.decode(data, as_array=True)
    assert decoded.shape == (shape if shape[2] > 1 else shape[:2])
    assert psnr(pixels[..., :3], decoded.reshape(shape)[..., :3]) > 18
    if shape[2] == 4:
        assert (decoded[..., 3] == pixels[..., 3]).all()


def test_its_defaults_are_its_own() -> None:
    header = container.read_header(neuralcodec.encode(photograph(70, 90), model="toy"))
    assert (header.codec, header.quality, header.tile, header.stages) == (TOY, 30.0, 64, 1)


def test_a_region_is_a_crop() -> None:
    data = neuralcodec.encode(photograph(150, 200), model="toy")
    whole = neuralcodec.decode(data, as_array=True)
    part = neuralcodec.decode(data, region=(50, 60, 70, 80), as_array=True)
    assert (part == whole[60:140, 50:120]).all()


def test_what_it_does_not_have_is_refused() -> None:
    pixels = photograph(70, 90)
    data = neuralcodec.encode(pixels, model="toy")
    with pytest.raises(UsageError, match="no stages: the toy model wrote it"):
        neuralcodec.decode(data, stage=1)
    with pytest.raises(UsageError, match="toy model has no other effort than 1"):
        neuralcodec.encode(pixels, model="toy", effort=2)
    with pytest.raises(UsageError, match="1010x1000 pixels are more than the 1000000 that the toy"):
        neuralcodec.encode(np.zeros((1000, 1010), np.uint8), model="toy")
    with pytest.raises(UsageError, match="toy model has no form for batches"):
        neuralcodec.load_model("toy")


def test_damage_is_found_and_named() -> None:
    data = bytearray(neuralcodec.encode(photograph(150, 200), model="toy"))
    tiles = container.read(bytes(data)).tiles
    data[data.index(tiles[5]) + 3] ^= 1
    with pytest.raises(DamagedFileError):
        neuralcodec.decode(bytes(data))
    with pytest.warns(neuralcodec.DamageWarning) as warned:
        decoded = neuralcodec.decode(bytes(data), partial=True, as_array=True)
    damage = warned[0].message.damage
    assert damage.lost == (5,) and damage.boxes == (Box(64, 128, 64, 128),)
    assert (decoded[64:128, 64:128] == 128).all()
    assert set(np.unique(damage.map())) == {0, 255}  # its margin is 0


def test_info_names_it() -> None:
    facts = neuralcodec.info(neuralcodec.encode(photograph(70, 90), model="toy"))
    assert (facts.codec, facts.weights_name, facts.tiles) == ("toy", "toy", 4)


@pytest.mark.parametrize("model", ["toy", "toy-2025-01-01"])
def test_targets_are_met(model: str) -> None:
    pixels = photograph(200, 240)
    size = len(neuralcodec.encode(pixels, model=model, quality=55))
    data = neuralcodec.encode(pixels, model=model, target_size=size)
    assert 0.98 * size <= len(data) <= size
    assert neuralcodec.info(data).weights_name == model


def test_pillow_reads_and_writes_it() -> None:
    image, file = Image.fromarray(photograph(70, 90)), io.BytesIO()
    image.save(file, "NC", model="toy", quality=80)
    assert file.getvalue() == neuralcodec.encode(image, model="toy", quality=80)
    with Image.open(file) as opened:
        assert (np.asarray(opened) == neuralcodec.decode(file.getvalue(), as_array=True)).all()


def test_the_benchmark_measures_it() -> None:
    peer, image = registry.find("ours-toy"), photograph(70, 90)
    assert len(peer.settings) == 9
    assert peer.decode(peer.encode(image, 90)).shape == image.shape
    assert "toy weights" in peer.version()
    with pytest.raises(UsageError, match="no other effort"):
        registry.find("ours-toy-e3")


def test_the_command_line_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, file, out = (str(tmp_path / name) for name in ("a.png", "a.nc", "b.png"))
    Image.fromarray(photograph(70, 90)).save(source)
    assert main(["encode", "--model", "toy", source, file, "--quiet"]) == 0
    assert main(["decode", file, out, "--quiet"]) == 0
    assert main(["info", "--json", file]) == 0
    assert json.loads(capsys.readouterr().out)["codec"] == "toy"


def test_every_shipped_codec_has_a_family() -> None:
    assert {family_of(codec).codec for codec in CODECS.values()} == set(CODECS.values())
