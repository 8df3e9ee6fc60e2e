"""A floor under compression: a slip that costs bytes or quality fails here."""

import json
from pathlib import Path

import pytest
from golden.floor import INDEX, PICTURES, points

from neuralcodec import weights
from neuralcodec.models.conv import runner
from neuralcodec.models.gru import runner as gru_runner

FLOOR = json.loads(INDEX.read_text())


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize("model", FLOOR)
def test_sample_pictures_take_and_show_what_they_did(
    model: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes, and what MS-SSIM leaves to 1, within 1 %.

    Neither may the numbers be better: then write them anew with `python tests/golden/floor.py`.
    """
    loaded = (gru_runner if model == "gru" else runner).load(weights.by_name(model))
    monkeypatch.setattr(loaded, "bfloat16", False)  # whose files are of another size
    expected = FLOOR[model][path.stem]
    for setting, point in points(model, path).items():
        size, similarity = expected[setting]
        assert point.bytes == pytest.approx(size, rel=0.01), (setting, similarity, point)
        assert 1 - point.ms_ssim == pytest.approx(1 - similarity, rel=0.01), (setting, size, point)
