"""The weights beside the package: they code by path, and see what they were trained to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import neuralcodec
from neuralcodec.models.ssimulacra2 import ssimulacra2
from neuralcodec.picture.reading import load

ROOT = Path(__file__).parents[2]
PRETRAINED = ROOT / "pretrained" / "conv-13df38ec.safetensors"


def test_they_score_higher_at_equal_bytes() -> None:
    """By SSIMULACRA2; the README beside them says by how much on Kodak."""
    photo = ROOT / "sample_images" / "chelsea.png"
    original = load(photo).pixels
    scores = []
    for model in ("conv", str(PRETRAINED)):
        data = neuralcodec.encode(photo, target_size=7000, model=model)
        decoded = neuralcodec.decode(data, as_array=True)
        scores.append(ssimulacra2(original, np.asarray(decoded)))
    assert neuralcodec.info(data).weights == "13df38ec"
    assert scores[1] > scores[0] + 3


def test_their_range_goes_on_to_where_no_difference_is_seen() -> None:
    """A score of 90 is visually lossless; of the layers, the first alone is a picture too."""
    photo = ROOT / "sample_images" / "chelsea.png"
    original = load(photo).pixels
    data = neuralcodec.encode(photo, quality=95, model=str(PRETRAINED))
    assert neuralcodec.info(data).stages == 2
    both = ssimulacra2(original, np.asarray(neuralcodec.decode(data, as_array=True)))
    alone = ssimulacra2(original, np.asarray(neuralcodec.decode(data, stage=1, as_array=True)))
    assert both > 90
    assert 45 < alone < both
