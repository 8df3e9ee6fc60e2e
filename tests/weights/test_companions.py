"""Companions of a kind: found by their decoder, and refused with what to do."""

from pathlib import Path

import pytest
from tiny import write_companion, write_conv_weights

from neuralcodec import weights
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.weights.companions import companion_of, with_decoder
from neuralcodec.weights.stored import arrays_of


def test_an_encoder_is_found_by_its_decoder(tiny_encoders: Path) -> None:
    decoder = weights.by_name("conv")
    for kind in ("inpaint", "vivid"):
        file = companion_of(decoder, kind)
        assert file.path.name == f"{kind}-{decoder.id.hex()}.safetensors"
        assert (file.kind, file.decoder, file.decodes) == (kind, decoder.decoder, False)
        assert file.encodes == (kind != "vivid")
    assert decoder.kind is None
    assert weights.by_id(decoder.id) == decoder == with_decoder(decoder.decoder)


def test_beside_weights_that_are_named_by_path(tiny_encoders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.VARIABLE)
    decoder = weights.by_name(tiny_encoders / "conv.safetensors")
    assert companion_of(decoder, "inpaint").path.parent == tiny_encoders


def test_an_encoder_for_another_decoder_is_refused(tiny_encoders: Path, tmp_path: Path) -> None:
    other = write_conv_weights(tmp_path / "other.safetensors")
    with pytest.raises(
        UsageError, match=r"no encoder to inpaint \(inpaint-.* is for .*\): `ncodec train inpaint"
    ):
        companion_of(weights.by_name(other.path), "inpaint")


def test_an_encoder_is_no_model(tiny_encoders: Path) -> None:
    for name in ("inpaint", "vivid", next(tiny_encoders.glob("inpaint-*"))):
        with pytest.raises(UsageError, match=r"is for `.*` alone: name the weights that it belongs to"):
            weights.by_name(name)
    with pytest.raises(UsageError, match="there is conv, gru"):
        weights.by_name("none")


def test_a_decoder_that_is_not_here() -> None:
    with pytest.raises(UsageError, match="it is for weights 00000000, which are not here"):
        with_decoder("0" * 64)


def test_half_a_file_is_no_weights_file(tiny_encoders: Path) -> None:
    path = next(tiny_encoders.glob("inpaint-*"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NeuralCodecError, match="is not a weights file"):
        weights.read(companion_of(weights.by_name("conv"), "inpaint"))


def test_an_encoder_for_weights_in_one_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = write_conv_weights(tmp_path / "conv.safetensors")
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    names = arrays_of(write_companion("inpaint", tmp_path, decoder))
    assert names and not any("detail" in name or "synthesis" in name for name in names)
