"""Batches of tensors to real files and back."""

from __future__ import annotations

import copy
import io
import logging
import pickle
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import photograph
from PIL import Image
from tiny import write_conv_weights

import neuralcodec
from neuralcodec.coding.batched import BatchedCodec
from neuralcodec.coding.progressive import truncate
from neuralcodec.errors import UsageError


@pytest.fixture(scope="module")
def codec() -> BatchedCodec:
    return neuralcodec.load_model("conv")


def batch(height: int = 70, width: int = 90, count: int = 2) -> torch.Tensor:
    pixels = np.stack([photograph(height, width, seed=seed) for seed in range(count)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("quality", [62.5, 85])
@pytest.mark.parametrize("size", [(70, 90), (1, 1), (64, 16), (33, 600)])
def test_files_are_those_that_everything_reads(
    codec: BatchedCodec, size: tuple[int, int], quality: float
) -> None:
    x = batch(*size)
    files = codec.compress(x, quality=quality)
    x_hat = codec.decompress(files)
    assert x_hat.shape == x.shape
    for data, planes in zip(files, x_hat, strict=True):
        assert neuralcodec.info(data).quality == quality
        pixels = (planes.permute(1, 2, 0) * 255).round().numpy()
        assert np.abs(neuralcodec.decode(data, as_array=True).astype(float) - pixels).max() <= 2


def test_it_codes_as_encode_does(codec: BatchedCodec) -> None:
    x = batch(count=1)
    [data] = codec.compress(x, quality=50)
    expected = neuralcodec.encode((x[0].permute(1, 2, 0) * 255).round().byte().numpy(), quality=50)
    assert abs(len(data) - len(expected)) < 0.05 * len(expected)


def test_forward_is_compress_and_decompress(codec: BatchedCodec) -> None:
    """In one layer and in two."""
    x, quality = batch(count=3), [30, 85, 100]
    files = codec.compress(x, quality)
    assert [neuralcodec.info(data).stages for data in files] == [1, 2, 2]
    with torch.no_grad():
        x_hat, bits = codec(x, quality)
    torch.testing.assert_close(x_hat.clamp(0, 1), codec.decompress(files), atol=1e-4, rtol=0)
    assert bits.tolist() == [8 * neuralcodec.info(data).tile_bytes for data in files]


def test_qualities_of_a_batch_may_differ(codec: BatchedCodec) -> None:
    x = batch(count=1)
    files = codec.compress(x, quality=10) + codec.compress(x, quality=90)
    together = codec.decompress(files)
    for data, planes in zip(files, together, strict=True):
        torch.testing.assert_close(codec.decompress([data])[0], planes, atol=1e-4, rtol=0)
    assert (together[1] - x[0]).abs().mean() < (together[0] - x[0]).abs().mean()


def test_a_file_cut_after_its_first_layer(codec: BatchedCodec) -> None:
    whole = codec.compress(batch(), quality=85)
    cut = truncate(whole[1], stages=1)
    both = codec.decompress([whole[0], cut])
    torch.testing.assert_close(both[:1], codec.decompress(whole[:1]), atol=1e-4, rtol=0)
    expected = neuralcodec.decode(cut, as_array=True).astype(float)
    assert np.abs(both[1].permute(1, 2, 0).numpy() * 255 - expected).max() <= 2


@pytest.mark.parametrize("quality", [50, 85])
def test_gradients(codec: BatchedCodec, quality: float) -> None:
    x = batch(count=1).requires_grad_()
    x_hat, _ = codec(x, quality=quality)
    (x_hat - x.detach()).square().mean().backward()
    assert x.grad is not None and bool(x.grad.any())
    # The details are those of what the base's synthesis leaves over, which so has a part in their rate.
    last = codec.transforms.synthesis if quality == 50 else codec.transforms.detail_synthesis
    weight = last.shortcut.weight
    assert weight.grad is not None and bool(weight.grad.any())
    codec.zero_grad()
    x.grad = None
    codec(x, quality=quality).bits.sum().backward()
    assert x.grad is not None and bool(x.grad.any())
    assert weight.grad is None or not weight.grad.any()  # the last synthesis has no part in the rate
    codec.zero_grad()


def test_a_step_against_the_gradient_of_the_rate_saves_bits(codec: BatchedCodec) -> None:
    """As rate-distortion training takes it, with the distortion left out."""
    x = batch(64, 64, count=1).requires_grad_()
    before = codec(x, quality=60).bits
    before.sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        moved = (x - 0.02 * x.grad.sign()).clamp(0, 1)
        after = codec(moved, quality=60).bits
    assert after.item() < before.item() - 100
    codec.zero_grad()


def test_a_quality_for_each_picture(codec: BatchedCodec) -> None:
    x = batch(64, 64)
    files = codec.compress(x, quality=[20, 80])
    assert [neuralcodec.info(data).quality for data in files] == [20, 80]
    with torch.no_grad():
        together = codec(x, quality=torch.tensor([20.0, 80.0]))
        alone = codec(x[1:], quality=80)
    assert together.bits[1] == alone.bits[0]
    with pytest.raises(UsageError, match="3 qualities for 2 pictures"):
        codec.compress(x, quality=[20, 50, 80])


def test_the_codec_itself_is_left_alone(codec: BatchedCodec) -> None:
    """Training the module changes nothing of what `encode` and `decode` use."""
    pixels = photograph(40, 50)
    before = neuralcodec.encode(pixels)
    own = neuralcodec.load_model("conv")
    with torch.no_grad():
        own.transforms.analysis.shortcut.weight.zero_()
    assert neuralcodec.encode(pixels) == before


def test_what_is_refused(codec: BatchedCodec) -> None:
    for x in (torch.rand(3, 8, 8), torch.rand(1, 1, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(neuralcodec.UsageError, match="must be floats"):
            codec.compress(x)
    with pytest.raises(neuralcodec.UsageError, match="0 to 100"):
        codec.compress(batch(), quality=101)
    with pytest.raises(neuralcodec.UsageError, match="one size"):
        codec.decompress(codec.compress(batch(16, 16, 1)) + codec.compress(batch(16, 32, 1)))
    with pytest.raises(neuralcodec.UsageError, match="one size"):
        codec.decompress([])
    with pytest.raises(neuralcodec.DamagedFileError):
        codec.decompress([codec.compress(batch(16, 16, 1))[0][:-1]])
    with pytest.raises(neuralcodec.UsageError, match="no model named"):
        neuralcodec.load_model("vast")


def test_a_file_of_the_command_line(codec: BatchedCodec) -> None:
    out = io.BytesIO()
    Image.fromarray(photograph(40, 50)).save(out, "PNG")
    assert codec.decompress([neuralcodec.encode(io.BytesIO(out.getvalue()))]).shape == (1, 3, 40, 50)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_width_are_taken(codec: BatchedCodec, dtype: torch.dtype) -> None:
    x = batch(64, 80, 1)
    (narrow,) = codec.compress(x.to(dtype))
    (expected,) = codec.compress(x.to(dtype).float())
    assert narrow == expected
    x_hat, _ = codec(x.to(dtype).requires_grad_())
    x_hat.sum().backward()


def test_wider_weights_give_the_same_pictures() -> None:
    x, codec = batch(64, 80, 1), neuralcodec.load_model("conv").double()
    files = codec.compress(x)
    assert codec.decompress(files).dtype == torch.float64
    expected = neuralcodec.decode(files[0], as_array=True).astype(float)
    assert np.abs(codec.decompress(files)[0].permute(1, 2, 0).numpy() * 255 - expected).max() <= 2


@pytest.mark.parametrize(
    ("value", "words"),
    [(255.0, "0 to 255"), (-0.5, "-0.5 to 1"), (float("nan"), "nan"), (float("inf"), "inf")],
)
def test_pixels_that_are_none_are_refused(codec: BatchedCodec, value: float, words: str) -> None:
    x = torch.zeros(1, 3, 64, 64)
    x[0, 0, 0, :2] = torch.tensor([1.0, value])
    for call in (codec, codec.compress):
        with pytest.raises(UsageError, match=f"pixels must be in .0, 1.*{words}"):
            call(x)


def test_it_is_copied_and_pickled_before_and_after_use() -> None:
    x, codec = batch(64, 80, 1), neuralcodec.load_model("conv")
    copies = [copy.deepcopy(codec), pickle.loads(pickle.dumps(codec))]
    expected = codec.compress(x)
    copies += [copy.deepcopy(codec), pickle.loads(pickle.dumps(codec))]
    for other in copies:
        assert other.compress(x) == expected
        with torch.no_grad():
            next(other.parameters()).zero_()
    assert codec.compress(x) == expected  # nothing is shared


# ---- the form of CompressAI's models ----------------------------------------------------------------------


@pytest.mark.parametrize("quality", [60, 85])
@pytest.mark.parametrize("size", [(70, 90), (33, 1100)])
def test_likelihoods_are_those_of_the_coder(
    codec: BatchedCodec, size: tuple[int, int], quality: float
) -> None:
    x, model = batch(*size), codec.at(quality=quality)
    with torch.no_grad():
        out = model(x)
    height, width = (-(-side // 16) for side in size)
    hyper = -(-height // 4), -(-width // 4)
    assert out["latents"]["y"].shape == out["latents"]["y_hat"].shape == (2, 128, height, width)
    assert out["likelihoods"]["y"].shape == (2, 128, height, width)
    assert out["likelihoods"]["z"].shape == out["latents"]["z"].shape == (2, 64, *hyper)
    assert all(values.min() > 0 and values.max() <= 1 for values in out["likelihoods"].values())
    assert ("y2" in out["likelihoods"]) == (quality == 85)
    if quality == 85:
        shape = (2, 96, 2 * height, 2 * width)
        assert out["likelihoods"]["y2"].shape == out["latents"]["y2_hat"].shape == shape
    bits = -sum(values.log2().flatten(1).sum(1) for values in out["likelihoods"].values())
    x_hat, real = codec(x, quality=quality)
    # The coder rounds some symbols towards zero, which costs no bits that matter and saves some.
    assert bool((real < 1.02 * bits + 100).all()) and bool((real > 0.9 * bits).all())
    assert (out["x_hat"] - x_hat).abs().mean() < 0.01


def test_strings_are_files(codec: BatchedCodec) -> None:
    x, model = batch(), codec.at(quality=70)
    compressed = model.compress(x)
    assert compressed == {"strings": [codec.compress(x, quality=70)], "shape": (2, 2)}
    x_hat = model.decompress(**compressed)["x_hat"]
    assert torch.equal(x_hat, codec.decompress(compressed["strings"][0]))
    assert model.update() is model.update(force=True) is False
    with pytest.raises(UsageError, match="2 lists of strings"):
        model.decompress([*compressed["strings"], []], (2, 2))
    for quality in (101, float("nan"), "50"):
        with pytest.raises(UsageError, match="quality"):
            codec.at(quality)  # type: ignore[arg-type]


@pytest.mark.parametrize("quality", [50, 85])
def test_the_rate_has_a_gradient_in_all_analyses(quality: float) -> None:
    own = neuralcodec.load_model()
    x = batch(64, 64)
    out = own.at(quality)(x)
    analyses = [own.transforms.analysis.shortcut, own.transforms.hyper_analysis.head]
    for name, rate in {"all": own(x, quality=quality).bits, **out["likelihoods"]}.items():
        own.zero_grad()
        rate.log2().sum().backward(retain_graph=True)
        seen = [own.transforms.detail_analysis.shortcut] if name == "y2" else analyses
        for weight in (layer.weight for layer in seen):
            assert weight.grad is not None and bool(weight.grad.isfinite().all()) and bool(weight.grad.any())


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_it_exports_to_onnx(tmp_path: Path) -> None:
    model = neuralcodec.load_model(write_conv_weights(tmp_path / "own.safetensors").path).at(60).eval()
    x = batch(64, 80, 1)
    logging.disable(logging.DEBUG)  # of which pytest would keep every line, in minutes
    with torch.no_grad():
        torch.onnx.export(model, (x,), tmp_path / "codec.onnx", dynamo=True, verbose=False)
        expected = model(x)
    logging.disable(logging.NOTSET)
    session = onnxruntime.InferenceSession(tmp_path / "codec.onnx", providers=["CPUExecutionProvider"])
    x_hat, y, z, *_ = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(x_hat, expected["x_hat"].numpy(), atol=1e-4)
    np.testing.assert_allclose(y, expected["likelihoods"]["y"].numpy(), atol=1e-4)
    np.testing.assert_allclose(z, expected["likelihoods"]["z"].numpy(), atol=1e-4)
