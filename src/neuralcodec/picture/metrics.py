"""Quality of a decoded picture: MS-SSIM, PSNR and, where its package is installed, SSIMULACRA2.

Every function takes two 8-bit pictures, the original and what a viewer would see after decoding, as `uint8`
arrays of shape `(H, W, 3)` or `(H, W, 1)`. Float reconstructions are refused: rounding to 8 bits is part of
what a codec does to a picture.
"""

from __future__ import annotations

import importlib
import io
import math

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Floats
from neuralcodec.errors import UsageError

Image8 = npt.NDArray[np.uint8]

# Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", 2003.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
STRIP_PIXELS = 1 << 15  # fastest of the powers of two; the maps of a strip fill 128 kB each


def ms_ssim(a: Image8, b: Image8) -> float:
    """MS-SSIM in [0, 1], the mean over the channels, equal to `pytorch-msssim`'s within 1e-6.

    There is no published definition for pictures under 161 px on the shorter side. They get as many of the
    five scales as the 11 px window fits into, with the first weights scaled to the same sum. Under 11 px,
    they get one scale, and the window shrinks to the largest odd size that fits. Such values rank codecs on
    one picture, but are not comparable with those of larger pictures.

    Args:
        a, b: uint8, `(H, W, C)`, C of 1 or 3. Memory is about 12 bytes per pixel, 50 MB for 4 megapixels:
            the work goes by one channel and a strip of rows at a time, which does not change the result.

    Raises:
        UsageError: the shapes differ, or are not those of 8-bit pictures.
    """
    _check(a, b)
    planes = zip(np.moveaxis(a, 2, 0), np.moveaxis(b, 2, 0), strict=True)
    values = [_ms_ssim_channel(x.astype(np.float32), y.astype(np.float32)) for x, y in planes]
    return sum(values) / len(values)


def ms_ssim_db(value: float) -> float:
    """MS-SSIM in decibels, -10 log10(1 - `value`): .90 is 10 dB, .99 is 20 dB, 1 is infinite."""
    return math.inf if value >= 1 else -10 * math.log10(1 - value)


def psnr(a: Image8, b: Image8) -> float:
    """PSNR in dB over all the samples of both pictures together; infinite where they are equal.

    Raises:
        UsageError: the shapes differ, or are not those of 8-bit pictures.
    """
    _check(a, b)
    total = 0
    for row_a, row_b in zip(a, b, strict=True):  # row by row: no copy of the whole picture in wide integers
        difference = row_a.astype(np.int64) - row_b
        total += int((difference * difference).sum())
    return math.inf if total == 0 else 10 * math.log10(255**2 * a.size / total)


def ssimulacra2(a: Image8, b: Image8) -> float | None:
    """SSIMULACRA2 of two sRGB pictures: 100 is identical, 90 visually lossless, 50 medium, below 0 poor.

    It needs the extra `neuralcodec[bench]`. None without it, and for pictures under 8 px on a side, which the
    metric does not take. The package is a NumPy port of libjxl's `ssimulacra2` that treats the borders
    differently: compare its values only with each other.

    Raises:
        UsageError: the shapes differ, or are not those of 8-bit pictures.
    """
    _check(a, b)
    if min(a.shape[:2]) < 8:
        return None
    try:
        package = importlib.import_module("ssimulacra2")
    except ImportError:
        return None
    return float(package.compute_ssimulacra2(_as_png(a), _as_png(b)))


def ssim_map(a: Image8, b: Image8) -> Floats:
    """Map where two pictures differ: SSIM of the channel mean wherever the 11 px window fits.

    Returns:
        `(H - 10, W - 10)`; element (0, 0) belongs to pixel (5, 5).

    Raises:
        UsageError: the shapes differ, or are not those of 8-bit pictures of 11 px or more on a side.
    """
    _check(a, b)
    if min(a.shape[:2]) < WINDOW:
        raise UsageError(f"a picture of shape {a.shape} is smaller than the window of {WINDOW} px")
    x, y = (picture.mean(axis=2, dtype=np.float32) for picture in (a, b))
    return _ssim_maps(x, y, _window(WINDOW))[0]


def _check(a: Image8, b: Image8) -> None:
    if a.shape != b.shape:
        raise UsageError(f"cannot compare pictures of shapes {a.shape} and {b.shape}")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise UsageError(f"cannot compare {a.dtype} and {b.dtype} pictures: 8-bit ones are needed")
    if a.ndim != 3 or a.shape[2] not in (1, 3) or a.size == 0:
        raise UsageError(f"a picture of shape {a.shape} is neither (H, W, 3) nor (H, W, 1)")


def _as_png(picture: Image8) -> io.BytesIO:
    """Write the picture to an RGB file in memory, which is what the SSIMULACRA2 package reads."""
    from PIL import Image

    file = io.BytesIO()
    channels = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    Image.fromarray(channels).save(file, "PNG", compress_level=0)
    file.seek(0)
    return file


def _ms_ssim_channel(x: Floats, y: Floats) -> float:
    """MS-SSIM of two planes `(H, W)` with as many of the five scales as fit."""
    side = min(x.shape)
    scales = max(1, sum(side > (WINDOW - 1) * 2**scale for scale in range(len(SCALE_WEIGHTS))))
    window = _window(min(WINDOW, side - (side + 1) % 2))
    # The published weights sum to 1.0001; fewer of them are scaled to the same sum.
    share = sum(SCALE_WEIGHTS) / sum(SCALE_WEIGHTS[:scales])
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS[:scales]):
        ssim, structure = _ssim_terms(x, y, window)
        last = scale == scales - 1
        product *= max(0.0, ssim if last else structure) ** (weight * share)
        if not last:
            x, y = _halve(x), _halve(y)
    return product


def _window(size: int) -> Floats:
    """Make a Gaussian of `size` taps, an odd number, that sums to one; sigma is 1.5 * `size` / 11."""
    offsets = np.arange(size) - size // 2
    taps = np.exp(-(offsets**2) / (2 * (SIGMA * size / WINDOW) ** 2))
    normalised: Floats = (taps / taps.sum()).astype(np.float32)
    return normalised


def _halve(plane: Floats) -> Floats:
    """Average blocks of 2x2.

    An odd size gets a row of zeros above or a column of them on the left, which count in the means: strange,
    but `pytorch-msssim` does so, and published numbers contain it.
    """
    plane = np.pad(plane, ((plane.shape[0] % 2, 0), (plane.shape[1] % 2, 0)))
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _ssim_terms(x: Floats, y: Floats, window: Floats) -> tuple[float, float]:
    """Average SSIM and its contrast-structure factor over one scale, two planes `(H, W)`.

    The work goes by strips of rows, which bounds the memory and keeps the maps in the cache.
    """
    height, width = x.shape
    overlap = len(window) - 1
    rows = max(1, STRIP_PIXELS // width)
    sums = [0.0, 0.0]
    for top in range(0, height - overlap, rows):
        strip = slice(top, top + rows + overlap)
        maps = _ssim_maps(x[strip], y[strip], window)
        sums = [total + float(values.sum(dtype=np.float64)) for total, values in zip(sums, maps, strict=True)]
    count = (height - overlap) * (width - overlap)
    return sums[0] / count, sums[1] / count


def _ssim_maps(x: Floats, y: Floats, window: Floats) -> tuple[Floats, Floats]:
    """Map SSIM and its contrast-structure factor of two planes `(H, W)`, wherever the window fits."""
    mean_x, mean_y, mean_squares, mean_product = _blur(np.stack([x, y, x * x + y * y, x * y]), window)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    structure = (2 * (mean_product - product) + C2) / (mean_squares - squares + C2)
    return structure * (2 * product + C1) / (squares + C1), structure


def _blur(planes: Floats, window: Floats) -> Floats:
    """Filter `(N, H, W)` down and across with the symmetric window, only where it fits."""
    half = len(window) // 2
    for _ in range(2):  # down, then across: the axes are swapped after each
        length = planes.shape[1] - 2 * half
        result = window[half] * planes[:, half : half + length]
        for tap in range(half):
            mirror = 2 * half - tap
            result += window[tap] * (planes[:, tap : tap + length] + planes[:, mirror : mirror + length])
        planes = result.swapaxes(1, 2)
    return planes
