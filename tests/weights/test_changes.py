"""Arrays as changes of a decoder's, in rows of few bits."""

import numpy as np
import pytest

from neuralcodec.weights.changes import STEP, changed, changes

KNOWN, OTHER = "transforms.synthesis.up.weight", "encoder.stem.weight"


def arrays() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    known = {KNOWN: rng.normal(0, 1, (6, 5, 1, 1)).astype(np.float16)}
    tuned = {
        KNOWN: (known[KNOWN] + rng.normal(0, 0.01, (6, 5, 1, 1))).astype(np.float16),
        OTHER: rng.normal(0, 1, (4, 3, 1, 1)).astype(np.float16),
        "transforms.synthesis.up.bias": rng.normal(0, 1, 6).astype(np.float16),
        "transforms.synthesis.shortcut.weight": rng.normal(0, 1, (3, 2)).astype(np.float16),
    }
    return known, tuned


def test_a_row_is_off_by_half_a_step() -> None:
    known, tuned = arrays()
    stored = changes(tuned, known)
    assert {name: array.dtype.name for name, array in stored.items()} == {
        KNOWN: "int8",
        KNOWN + STEP: "float32",
        OTHER: "int8",
        OTHER + STEP: "float32",
        "transforms.synthesis.up.bias": "float16",
        "transforms.synthesis.shortcut.weight": "float16",
    }
    found = changed(stored, known)
    assert found.keys() == tuned.keys()
    for name, array in tuned.items():
        steps = stored.get(name + STEP, np.zeros(len(array)))
        off = np.abs(found[name].astype(np.float64) - array).reshape(len(array), -1).max(1)
        assert (off <= steps / 2 + np.abs(array).max() * 2**-10).all()
    # The change of what the decoder has is small, and so is its error.
    assert stored[KNOWN + STEP].max() < 0.05 / 31 < 1 / 127 < 2 * stored[OTHER + STEP].max()
    assert [np.abs(stored[name]).max() for name in (KNOWN, OTHER)] == [31, 127]


def test_a_share_lies_on_the_line_between() -> None:
    known, tuned = arrays()
    stored = changes(tuned, known)
    whole, half, none = (changed(stored, known, share)[KNOWN].astype(np.float32) for share in (1, 0.5, 0))
    np.testing.assert_array_equal(none, known[KNOWN])
    np.testing.assert_allclose(half, (whole + none) / 2, atol=2e-3)


def test_an_array_without_change_is_exact() -> None:
    known, _ = arrays()
    stored = changes(known, known)
    assert not stored[KNOWN].any()
    np.testing.assert_array_equal(changed(stored, known)[KNOWN], known[KNOWN])


def test_an_encoder_is_no_base_of_changes() -> None:
    """Another encoder may come with the same decoder."""
    name = "transforms.analysis.down.weight"
    known = {name: np.ones((2, 2), np.float16)}
    assert changed(changes(known, known), {})[name] == pytest.approx(1, abs=0.01)


def test_steps_must_be_there_and_fit() -> None:
    known, tuned = arrays()
    stored = changes(tuned, known)
    for bad in ({}, {KNOWN + STEP: np.ones(2, np.float32)}):
        with pytest.raises(ValueError, match="has no step for each row"):
            changed({KNOWN: stored[KNOWN], **bad}, known)
