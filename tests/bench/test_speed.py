"""Timing takes turns, leaves out the warm-up, and outlives a codec that fails."""

from pathlib import Path

import numpy as np
import pytest

from neuralcodec.bench import peers, speed
from neuralcodec.bench.images import Photo, gather
from neuralcodec.processes import pool

from .conftest import save_photo


def test_the_largest_pictures_are_timed() -> None:
    photos = [
        Photo(Path(), name, "", *size) for name, size in (("a", (9, 9)), ("b", (20, 9)), ("c", (9, 20)))
    ]
    assert [photo.name for photo in speed.choose(photos)] == ["b", "c"]


def test_codecs_take_turns(tmp_path: Path, inline: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for peer in (peers.Jpeg, peers.WebP):

        def encode(self: peers.PillowPeer, image: np.ndarray, setting: int) -> bytes:
            calls.append(self.name)
            return peers.PillowPeer.encode(self, image, setting)

        inline.setattr(peer, "encode", encode)
    photos, _ = gather([save_photo(tmp_path / "a.png")])
    steps = 0

    def advance() -> None:
        nonlocal steps
        steps += 1

    entry, problems = speed.measure(photos, {"jpeg": 50, "webp": 50}, rounds=2, threads=1, advance=advance)
    assert problems == []
    assert entry is not None
    assert calls == ["jpeg", "webp"] * 3 + ["jpeg", "webp"]  # a warm-up, two rounds, and memory
    assert steps == speed.steps(photos, 2, 2)
    assert entry["megapixels"] == [0.036]


def test_a_slow_codec_has_a_single_turn(tmp_path: Path, inline: pytest.MonkeyPatch) -> None:
    turns: list[tuple[str, ...]] = []

    def time_round(turn: speed.Round) -> dict[str, speed.Seconds | str]:
        turns.append(tuple(turn.settings))
        # The first turn of a process loads libraries, however quick the codec is then.
        seconds = {"jpeg": 0.1, "webp": 60.0 if len(turns) == 1 else 0.1, "avif": 8.0}
        return {codec: (seconds[codec], seconds[codec]) for codec in turn.settings}

    inline.setattr(speed, "time_round", time_round)
    photos, _ = gather([save_photo(tmp_path / "a.png"), save_photo(tmp_path / "b.png", seed=1)])
    settings = {"jpeg": 50, "webp": 50, "avif": 50}
    entry, _ = speed.measure(photos, settings, rounds=2, threads=1, advance=lambda: None)
    assert turns == [("jpeg", "webp", "avif")] * 2 + [("jpeg", "webp")] * 4
    assert entry is not None
    speeds = {codec: values["encode_mp_s"] for codec, values in entry["codecs"].items()}
    assert speeds == pytest.approx({"jpeg": 0.36, "webp": 0.36, "avif": 0.0045})


def test_a_codec_that_fails_has_no_speed(tmp_path: Path, inline: pytest.MonkeyPatch) -> None:
    def encode(self: peers.PillowPeer, image: np.ndarray, setting: int) -> bytes:
        raise ValueError("no")

    inline.setattr(peers.WebP, "encode", encode)
    photos, _ = gather([save_photo(tmp_path / "a.png")])
    settings = {"jpeg": 50, "webp": 50}
    entry, problems = speed.measure(photos, settings, rounds=1, threads=1, advance=lambda: None)
    assert entry is not None
    assert list(entry["codecs"]) == ["jpeg"]
    assert [problem.subject for problem in problems] == ["webp: speed", "webp: memory"]
    alone, _ = speed.measure(photos, {"webp": 50}, rounds=1, threads=1, advance=lambda: None)
    assert alone is None


def test_peak_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    photos, _ = gather([save_photo(tmp_path / "a.png")])
    held = np.ones(100_000_000, np.uint8)  # by this process, not by the one that is measured
    with pool(speed.peak_memory, jobs=1, threads=1) as worker:
        ((_, megabytes, error),) = worker.run([speed.Single(photos[0], "jpeg", 50)])
    assert error is None
    assert megabytes is not None
    assert 15 < megabytes < 150
    assert held.all()
