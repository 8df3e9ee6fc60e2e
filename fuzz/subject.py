"""What the fuzzers push bytes through, and what must hold whatever the bytes.

Decoding is that of the package, with tiny untrained models in place of the shipped weights: all code between
the bytes and the pixels runs, in milliseconds.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from conftest import photograph  # noqa: E402
from tiny import write_conv_weights, write_recurrent_weights  # noqa: E402

from neuralcodec import parallel, weights  # noqa: E402
from neuralcodec.coding.codec import decode_picture, encode_picture  # noqa: E402
from neuralcodec.errors import DamagedFileError  # noqa: E402
from neuralcodec.format import container  # noqa: E402
from neuralcodec.format.container import Container, Limits  # noqa: E402
from neuralcodec.format.header import CONV, Header  # noqa: E402
from neuralcodec.picture.picture import Picture  # noqa: E402

#: Small, so that work and memory come from the bytes and not from the size of a picture they claim.
LIMITS = Limits(max_pixels=2**15, max_metadata=2**16)
SECONDS_PER_BYTE = 2 / 100_000
#: For the pixels within the limit, and for a machine that does something else.
SECONDS_AT_LEAST = 2.0
#: Of the process above what it took after the seeds were decoded.
MEMORY_LIMIT = 256 * 2**20


def use_tiny_models() -> None:
    """Put tiny models, always the same ones, before the package's weights."""
    torch.set_num_threads(1)
    # Threads would take most of the time of such small work.
    parallel.run = lambda work, items, threads, report=None: [work(item) for item in items]
    folder = Path(tempfile.mkdtemp(prefix="neuralcodec-fuzz-"))
    write_conv_weights(folder / "conv.safetensors")
    write_recurrent_weights(folder / "gru.safetensors")
    os.environ[weights.VARIABLE] = str(folder)
    weights.by_name("conv")


def seeds() -> dict[str, bytes]:
    """Intact files of every kind."""
    alpha = np.add.outer(np.arange(70), np.arange(90)).astype(np.uint8)
    identity = weights.by_name("conv").id
    exif, xmp = b"MM\0*\0\0\0\x08" + bytes(20), b"<x:xmpmeta/>" * 9
    grey_icc = bytes(16) + b"GRAY" + bytes(108)
    return {
        "colour": encode_picture(Picture(photograph(40, 130)), quality=80, tile=64),
        "grey": encode_picture(
            Picture(photograph(31, 20, channels=1), icc=grey_icc, exif=exif, xmp=xmp), quality=30
        ),
        "alpha": encode_picture(Picture(photograph(70, 90), alpha=alpha, exif=exif), quality=50, tile=64),
        "stages": encode_picture(Picture(photograph(20, 70), exif=exif), quality=20, model="gru", tile=64),
        "empty": container.write(
            Container(Header(CONV, identity, 1, 1, 0, 64, grey=True, alpha=True), [b"\0"], b"\4\7")
        ),
    }


def try_container(data: bytes) -> Container | None:
    """Reads in both ways; the container when the file is intact.

    Raises:
        AssertionError: the two ways do not agree.
    """
    try:
        whole = container.read(data, limits=LIMITS)
    except DamagedFileError as error:
        assert "\n" not in str(error)
        whole = None
    try:
        left = container.read(data, limits=LIMITS, strict=False)
    except DamagedFileError:
        assert whole is None, "an intact file is refused with strict=False"
    else:
        assert (whole == left) if whole else left.damage, "damage without a word on it"
    return whole


def try_decoder(data: bytes, *, strict: bool) -> str:
    """Decodes, and says how that ended: `intact`, `partial` or `refused`.

    Raises:
        AssertionError: it took too long, or gave a picture of another size than the header says.
        Exception: whatever the decoder should not raise.
    """
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = decode_picture(data, partial=not strict, limits=LIMITS)
    except DamagedFileError as error:
        assert "\n" not in str(error)
        outcome = "refused"
    else:
        header = container.read_header(data)
        assert picture.pixels.shape == (header.height, header.width, 1 if header.grey else 3)
        assert (picture.alpha is not None) == header.alpha
        outcome = "partial" if picture.damage else "intact"
    seconds = time.process_time() - start
    assert seconds < SECONDS_AT_LEAST + len(data) * SECONDS_PER_BYTE, f"{seconds:.1f} s for {len(data)} bytes"
    return outcome


def memory() -> int:
    """The most resident bytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
