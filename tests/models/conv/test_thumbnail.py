"""The network of thumbnails in numpy: what it was trained as, and files that are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from tiny import write_conv_weights, write_detail_weights

import neuralcodec
from neuralcodec import weights
from neuralcodec.errors import NeuralCodecError
from neuralcodec.models.conv.thumbnail import Thumbnail, thumbnail_of
from neuralcodec.training import thumbnail
from neuralcodec.training.thumbnail import ThumbnailNetwork
from neuralcodec.weights import thumbnails


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> weights.WeightsFile:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    thumbnail_of.cache_clear()
    return write_conv_weights(tmp_path / "own.safetensors")


@pytest.mark.parametrize("level", [0, 0.75, 2])
def test_numpy_computes_what_was_trained(level: float) -> None:
    torch.manual_seed(0)
    network = ThumbnailNetwork(levels=3, latent=16).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((parameter + 0.1 * torch.randn_like(parameter)).half())
    small = Thumbnail({name: value.half().numpy() for name, value in network.state_dict().items()})
    y_hat = torch.randn(1, 16, 5, 7)
    with torch.no_grad():
        expected = (network(y_hat, torch.tensor([float(level)]))[0].permute(1, 2, 0) + 0.5) * 255
    latent = y_hat[0].permute(1, 2, 0).numpy()
    pixels = small(latent, level, 8)
    assert pixels.shape == (10, 14, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels - expected.clamp(0, 255).numpy()).max() <= 0.51
    halved = expected.numpy().reshape(5, 2, 7, 2, 3).mean((1, 3)).clip(0, 255)
    assert np.abs(small(latent, level, 16) - halved).max() <= 0.51


@pytest.mark.parametrize("layers", [1, 2])
def test_fitting_writes_what_decoding_uses(
    own: weights.WeightsFile, layers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    if layers == 2:
        own = write_detail_weights(own.path)
    photos = own.path.with_name("photos")
    photos.mkdir()
    Image.fromarray(photograph(256, 300)).save(photos / "a.png")
    Image.fromarray(photograph(100, 300)).save(photos / "too-small.png")
    for name, number in (("CROPS", 4), ("STEPS", 3), ("CHECKED", 4)):
        monkeypatch.setattr(thumbnail, name, number)
    pixels = photograph(64, 64)
    data = neuralcodec.encode(pixels, quality=95, model=own.path)
    assert neuralcodec.info(data).stages == layers
    without = neuralcodec.decode(data, reduce=8, as_array=True)
    assert thumbnail_of(own.id) is None
    thumbnail.main([str(own.path), str(photos), str(photos)])
    thumbnail_of.cache_clear()
    assert "1/16, by quarters" in capsys.readouterr().out
    assert thumbnail_of(own.id) is not None
    assert neuralcodec.decode(data, reduce=8, as_array=True).shape == without.shape


@pytest.mark.parametrize("how", ["cut", "foreign", "of another decoder", "of other arrays"])
def test_files_that_are_none_are_refused(own: weights.WeightsFile, how: str) -> None:
    path = own.path.with_suffix(thumbnails.SUFFIX)
    theirs = next(file for file in weights.available() if file.path.with_suffix(thumbnails.SUFFIX).is_file())
    if how == "of other arrays":
        thumbnails.write(own, {"latent_gain.log_gain": np.zeros((3, 16), np.float16)})
    else:
        shutil.copy(theirs.path.with_suffix(thumbnails.SUFFIX), path)
        if how == "cut":
            path.write_bytes(path.read_bytes()[:-5])
        if how == "foreign":
            path.write_bytes(b"no weights at all")
    with pytest.raises(NeuralCodecError, match=r"own\.thumbnail is not a weights file of this version"):
        thumbnail_of(own.id)
