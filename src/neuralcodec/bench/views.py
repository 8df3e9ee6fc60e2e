"""Views of a picture: original, reference and ours at the same MS-SSIM, others in as few bytes as ours.

The pictures come from real files. The page holds the very files of JPEG, WebP and AVIF where these are no
wider than it shows them. All others are WebP of high quality, and the crops are without loss.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from neuralcodec.bench import peers, registry
from neuralcodec.bench.images import Photo, pixels_of
from neuralcodec.bench.summary import saving, setting_near
from neuralcodec.bench.sweep import Measurement
from neuralcodec.picture.metrics import Image8, ssim_map

TARGET = 0.95  # MS-SSIM, as in the headline
NEAR = 0.005  # a difference in MS-SSIM up to this is none
SIMILAR = 0.1  # a difference in size up to this share is none
SAME_BYTES = ("jpeg", "avif")  # shown in as few bytes as ours
SHOWN_WIDTH = 1200
CROP = 96
CROPS = 2
REVISION = 2  # of the stored form; views of older ones are made anew
MAP_PIXELS = 1 << 20
_AS_THEY_ARE = {"jpeg": "jpeg", "webp": "webp", "avif": "avif"}  # formats that browsers show


class ViewTask(NamedTuple):
    """A picture to show, with the measurements to choose its files by."""

    photo: Photo
    ours: str
    reference: str
    versions: dict[str, str]  # of ours, the reference and those of `SAME_BYTES` that take part
    points: dict[str, tuple[Measurement, ...]]  # of the same

    def key(self) -> tuple[str, str]:
        """Return the key of the view in the cache, made of all that it depends on."""
        points = {codec: [(p["setting"], p["bytes"]) for p in known] for codec, known in self.points.items()}
        facts = (REVISION, TARGET, self.photo.sha256, self.ours, self.reference, self.versions, points)
        return "view", hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def make(task: ViewTask) -> dict[str, Any]:
    """Make the view of one picture: the facts of each file, and the data URIs of all versions."""
    original = pixels_of(task.photo.path)
    ours, theirs = _alike(task, original)
    small = {c: _of_size(c, original, len(ours.data)) for c in task.points if c in SAME_BYTES}
    made = {"reference": (task.reference, theirs), "ours": (task.ours, ours)}
    made |= {codec: (codec, trial) for codec, trial in small.items()}
    decoded = {"original": original} | {kind: trial.decoded for kind, (_, trial) in made.items()}
    # Of the codecs with as few bytes as ours, the last is the best.
    corners = where_they_differ(list(decoded.values())[-1] if small else theirs.decoded, ours.decoded)
    return {
        "image": task.photo.name,
        "width": task.photo.width,
        "height": task.photo.height,
        "original": {"bytes": task.photo.path.stat().st_size},
        "ours": _facts(ours),
        "reference": _facts(theirs),
        "same_bytes": {codec: _facts(trial) for codec, trial in small.items()},
        "saving": saving(len(ours.data), len(theirs.data)) if _same(ours, theirs) else None,
        "crops": [{"x": x, "y": y, "size": CROP} for x, y in corners],
        "pictures": {
            "original": shown(original),
            **{kind: _shown_file(*file, task.photo.width) for kind, file in made.items()},
        },
        "crop_pictures": [
            {kind: _crop(picture[y : y + CROP, x : x + CROP]) for kind, picture in decoded.items()}
            for x, y in corners
        ],
    }


def without_pictures(view: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a view, for the JSON results."""
    return {key: value for key, value in view.items() if key not in ("pictures", "crop_pictures")}


def where_they_differ(a: Image8, b: Image8) -> list[tuple[int, int]]:
    """Find the upper left corners (x, y) of separate squares in which two pictures differ most by SSIM."""
    step = 1
    while a.shape[0] * a.shape[1] > MAP_PIXELS * step**2:
        step += 1  # a sample of the pixels is enough to tell where to look
    height, width = a.shape[:2]
    side = max(1, CROP // step)
    difference = 1 - np.pad(ssim_map(a[::step, ::step], b[::step, ::step]), 5, mode="edge").astype(np.float64)
    sums = np.pad(difference, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    totals = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    corners: list[tuple[int, int]] = []
    for _ in range(CROPS):
        row, column = np.unravel_index(totals.argmax(), totals.shape)
        top, left = int(row), int(column)
        corners.append((min(left * step, width - CROP), min(top * step, height - CROP)))
        totals[max(0, top - side) : top + side, max(0, left - side) : left + side] = -1
    return corners


def shown(picture: Image8) -> str:
    """Write a picture as a data URI, no wider than the page shows it."""
    image = peers.as_pillow(picture)
    if image.width > SHOWN_WIDTH:
        size = (SHOWN_WIDTH, max(1, round(image.height * SHOWN_WIDTH / image.width)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return data_uri(_webp(peers.as_array(image), quality=90), "webp")


def data_uri(data: bytes, kind: str) -> str:
    """Write the bytes of an image file as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _webp(picture: Image8, **options: int) -> bytes:
    file = io.BytesIO()
    peers.as_pillow(picture).save(file, "WEBP", method=4, **options)
    return file.getvalue()


def _crop(picture: Image8) -> str:
    return data_uri(_webp(picture, lossless=True), "webp")


def _facts(trial: peers.Trial) -> dict[str, Any]:
    return {"setting": trial.setting, "bytes": len(trial.data), "ms_ssim": trial.ms_ssim}


def _alike(task: ViewTask, original: Image8) -> tuple[peers.Trial, peers.Trial]:
    """Encode with ours near the target and with the reference near that; return the pair most alike."""
    own, theirs = (
        _around(codec, original, setting_near(task.points[codec], TARGET), reach)
        for codec, reach in (
            (task.ours, 1),
            (task.reference, 2),
        )  # our steps are small, and encoding takes longer
    )
    best = min(abs(trial.ms_ssim - TARGET) for trial in own)
    own = [trial for trial in own if abs(trial.ms_ssim - TARGET) <= max(best, NEAR)]
    return min(itertools.product(own, theirs), key=lambda pair: abs(pair[0].ms_ssim - pair[1].ms_ssim))


def _same(one: peers.Trial, other: peers.Trial) -> bool:
    return abs(one.ms_ssim - other.ms_ssim) <= NEAR


def _of_size(codec: str, original: Image8, size: int) -> peers.Trial:
    """Find the file of a codec that is nearest to a size in bytes, by bisection."""
    peer = registry.find(codec)
    low, high = peer.limits
    while low < high:
        middle = (low + high) // 2
        if len(peer.encode(original, middle)) < size:
            low = middle + 1
        else:
            high = middle
    trials = [
        peers.attempt(peer, original, setting) for setting in range(max(peer.limits[0], low - 1), low + 1)
    ]
    return min(trials, key=lambda trial: abs(len(trial.data) - size))


def _around(codec: str, image: Image8, setting: int, reach: int) -> list[peers.Trial]:
    """Encode with the settings within `reach` of one that was read off the sweep."""
    peer = registry.find(codec)
    low, high = peer.limits
    return [
        peers.attempt(peer, image, s)
        for s in range(max(low, setting - reach), min(high, setting + reach) + 1)
    ]


def _shown_file(codec: str, trial: peers.Trial, width: int) -> str:
    if codec in _AS_THEY_ARE and width <= SHOWN_WIDTH:
        return data_uri(trial.data, _AS_THEY_ARE[codec])
    return shown(trial.decoded)
