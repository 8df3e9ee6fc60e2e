"""What people look at: original, reference and ours side by side, with crops of where these two differ.

The pictures are those of real files at about the same MS-SSIM. On the page the reference is the very file
where a browser can show it; the others are WebP of high quality, and the crops are without loss.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from neuralcodec.bench import peers, registry
from neuralcodec.bench.curves import rate_at
from neuralcodec.bench.images import Photo, pixels_of
from neuralcodec.bench.summary import saving, setting_near, size_points
from neuralcodec.bench.sweep import Measurement
from neuralcodec.picture.metrics import Image8, ssim_map

TARGET = 0.90  # where JPEG is seen to suffer
SHOWN_WIDTH = 1200
CROP = 96
CROPS = 2
REVISION = 1  # of what is stored; older files are made anew
MAP_PIXELS = 1 << 20


class ViewTask(NamedTuple):
    """A picture to show, with the files to show it by."""

    photo: Photo
    ours: str
    reference: str
    versions: tuple[str, str]
    our_points: tuple[Measurement, ...]
    reference_points: tuple[Measurement, ...]

    def key(self) -> tuple[str, str]:
        """What the view depends on, as the cache names it."""
        points = [(p["setting"], p["bytes"]) for p in (*self.our_points, *self.reference_points)]
        facts = (REVISION, self.photo.sha256, self.ours, self.reference, self.versions, points)
        return "view", hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def make(task: ViewTask) -> dict[str, Any]:
    """The view of one picture: what was encoded how, and the data URIs of all its pictures."""
    original = pixels_of(task.photo.path)
    setting = setting_near(task.our_points, TARGET)
    ours = peers.attempt(registry.find(task.ours), original, setting)
    theirs = _nearest(registry.find(task.reference), original, ours.ms_ssim, task.reference_points)
    needed = rate_at(size_points(task.reference_points), ours.point[1])
    three = (original, theirs.decoded, ours.decoded)
    corners = where_they_differ(theirs.decoded, ours.decoded)
    own_file = theirs.data if task.reference == "jpeg" and task.photo.width <= SHOWN_WIDTH else None
    return {
        "image": task.photo.name,
        "width": task.photo.width,
        "height": task.photo.height,
        "original": {"bytes": task.photo.path.stat().st_size},
        "ours": _facts(ours),
        "reference": {**_facts(theirs), "bytes_at_equal_ms_ssim": None if needed is None else round(needed)},
        "saving": saving(ours.point[0], needed),
        "crops": [{"x": x, "y": y, "size": CROP} for x, y in corners],
        "pictures": {
            "original": shown(original),
            "reference": shown(theirs.decoded) if own_file is None else data_uri(own_file, "jpeg"),
            "ours": shown(ours.decoded),
        },
        "crop_pictures": [
            [data_uri(_webp(picture[y : y + CROP, x : x + CROP], lossless=True), "webp") for picture in three]
            for x, y in corners
        ],
    }


def without_pictures(view: dict[str, Any]) -> dict[str, Any]:
    """The facts of a view, for the JSON results."""
    return {key: value for key, value in view.items() if key not in ("pictures", "crop_pictures")}


def where_they_differ(a: Image8, b: Image8) -> list[tuple[int, int]]:
    """The left upper corners (x, y) of the squares in which two pictures differ most by SSIM, apart."""
    step = 1
    while a.shape[0] * a.shape[1] > MAP_PIXELS * step**2:
        step += 1  # a sample of the pixels says well enough where to look
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
    """A picture as a data URI, no wider than a page needs it."""
    image = peers.as_pillow(picture)
    if image.width > SHOWN_WIDTH:
        size = (SHOWN_WIDTH, max(1, round(image.height * SHOWN_WIDTH / image.width)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return data_uri(_webp(peers.as_array(image), quality=90), "webp")


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as part of a page."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _webp(picture: Image8, **options: int) -> bytes:
    file = io.BytesIO()
    peers.as_pillow(picture).save(file, "WEBP", method=4, **options)
    return file.getvalue()


def _facts(trial: peers.Trial) -> dict[str, Any]:
    return {"setting": trial.setting, "bytes": len(trial.data), "ms_ssim": trial.ms_ssim}


def _nearest(peer: peers.Peer, image: Image8, target: float, points: Sequence[Measurement]) -> peers.Trial:
    """The file of a peer whose MS-SSIM is nearest: the sweep says where to look, the neighbours are tried."""
    guess = setting_near(points, target)
    low, high = peer.limits
    trials = [peers.attempt(peer, image, s) for s in range(max(low, guess - 2), min(high, guess + 2) + 1)]
    return min(trials, key=lambda trial: abs(trial.ms_ssim - target))
