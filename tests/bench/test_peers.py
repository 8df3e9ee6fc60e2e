"""The peers write real files, and matching finds the bytes for a quality with few encodings."""

import io
import math
import re

import numpy as np
import pytest
from PIL import Image, features

from neuralcodec.bench import peers
from neuralcodec.bench.ours import Ours
from neuralcodec.bench.peers import Avif, Jpeg, JpegXl, WebP, as_array, like, match
from neuralcodec.bench.registry import PEERS, find
from neuralcodec.errors import UsageError
from neuralcodec.picture.metrics import ms_ssim

PILLOW_PEERS = [
    pytest.param(
        peer, marks=pytest.mark.skipif(peer.missing() is not None, reason=f"{peer.label}: {peer.missing()}")
    )
    for peer in (Jpeg(), WebP(), Avif(), JpegXl())
]


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 60 * np.sin(x / (5 + c)) + 40 * np.sin(x * y / 900) for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


class Counted:
    """A peer that counts its encodings."""

    def __init__(self, peer: peers.Peer) -> None:
        self.peer = peer
        self.limits = peer.limits
        self.encodings = 0

    def encode(self, image: np.ndarray, setting: int) -> bytes:
        self.encodings += 1
        return self.peer.encode(image, setting)

    def decode(self, data: bytes) -> np.ndarray:
        return self.peer.decode(data)


@pytest.mark.parametrize("peer", PILLOW_PEERS)
@pytest.mark.parametrize("shape", [(48, 65, 3), (33, 40, 1), (1, 1, 3)])
def test_round_trip(peer: peers.Peer, shape: tuple[int, int, int]) -> None:
    image = picture(*shape)
    data = peer.encode(image, peer.settings[-1])
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == peer.file_format
    decoded = like(peer.decode(data), image)
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - image).mean() < 5


@pytest.mark.parametrize("peer", PILLOW_PEERS)
def test_more_is_better_and_larger(peer: peers.Peer) -> None:
    image = picture(64, 64)
    low, high = (peer.encode(image, setting) for setting in (peer.settings[0], peer.settings[-1]))
    assert len(low) < len(high)
    assert ms_ssim(image, peer.decode(low)) < ms_ssim(image, peer.decode(high))


def test_jpeg_is_progressive_with_half_chroma() -> None:
    with Image.open(io.BytesIO(Jpeg().encode(picture(32, 32), 50))) as image:
        assert image.info["progressive"]
        assert [component[1:3] for component in image.layer] == [(2, 2), (1, 1), (1, 1)]


def test_settings_lie_within_the_limits() -> None:
    for name, peer in PEERS.items():
        assert peer.name == name
        assert list(peer.settings) == sorted(set(peer.settings))
        assert peer.limits[0] <= peer.settings[0] < peer.settings[-1] <= peer.limits[1]


@pytest.mark.parametrize("peer", PILLOW_PEERS)
def test_version_names_what_the_bytes_depend_on(peer: peers.Peer) -> None:
    assert any(character.isdigit() for character in peer.version())


def test_match_lies_between_the_neighbouring_settings() -> None:
    image, jpeg = picture(96, 96), Counted(Jpeg())
    sizes = [len(jpeg.peer.encode(image, setting)) for setting in (40, 41)]
    qualities = [ms_ssim(image, jpeg.decode(jpeg.peer.encode(image, setting))) for setting in (40, 41)]
    assert qualities[0] < qualities[1]
    found = match(jpeg, image, sum(qualities) / 2)
    assert found is not None
    assert sizes[0] < found < sizes[1]
    assert jpeg.encodings <= 7
    assert match(jpeg, image, qualities[1]) == pytest.approx(sizes[1])


class Ladder:
    """A made-up codec: setting s takes 100 · 2^s bytes and its picture is off by `errors[s]` levels."""

    name = "ladder"
    errors = (60, 30, 15, 0)
    limits = (0, 3)
    settings = (0, 1, 2, 3)

    def version(self) -> str:
        return "1"

    def encode(self, image: np.ndarray, setting: int) -> bytes:
        shifted = image.astype(np.uint8) - np.uint8(self.errors[setting])
        return (shifted.tobytes() + bytes(100 * 2**setting))[: 100 * 2**setting]

    def decode(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data[:12], np.uint8).reshape(2, 2, 3)


def test_match_never_extrapolates() -> None:
    image, ladder = np.full((2, 2, 3), 200, np.uint8), Ladder()
    lowest = ms_ssim(image, ladder.decode(ladder.encode(image, 0)))
    assert match(ladder, image, lowest - 1e-3) is None
    assert match(ladder, image, lowest) == 100
    assert match(ladder, image, 1.0) == 800
    assert match(Jpeg(), picture(64, 64), 1.0) is None


def test_match_interpolates_log_bytes_over_decibels(monkeypatch: pytest.MonkeyPatch) -> None:
    qualities = {140: 0.6, 170: 0.9, 185: 0.99, 200: 0.999}
    monkeypatch.setattr(peers, "ms_ssim", lambda _, decoded: qualities[int(decoded[0, 0, 0])])
    image = np.full((2, 2, 3), 200, np.uint8)
    halfway_in_db = 1 - 10**-1.5  # between .9 at 200 bytes and .99 at 400
    assert match(Ladder(), image, halfway_in_db) == pytest.approx(200 * math.sqrt(2))


def test_as_array_keeps_grey_grey() -> None:
    assert as_array(Image.new("L", (3, 2))).shape == (2, 3, 1)
    assert as_array(Image.new("RGBA", (3, 2))).shape == (2, 3, 3)
    assert as_array(Image.new("P", (3, 2))).shape == (2, 3, 3)


def test_avif_says_by_what_it_was_encoded() -> None:
    version = Avif().version()
    assert re.search(r"aom \d+\.\d+", version)
    assert re.search(r"tune=(iq|ssim|psnr|ssimulacra2)$", version)


def test_what_the_encoder_is_tuned_for_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: Avif, image: np.ndarray, advanced: dict[str, str] | None = None, **_: int) -> bytes:
        name = (advanced or {"tune": default})["tune"]
        if name == "iq":
            raise ValueError("Invalid advanced option")
        return name.encode()

    monkeypatch.setattr(Avif, "_save", save)
    for default in ("ssim", "psnr"):
        assert Avif()._tune() == default
    default = "vmaf"
    assert Avif()._tune() == "unknown"


@pytest.mark.parametrize(("name", "option"), [("avif-s4", "speed=4"), ("jxl-e9", "effort=9")])
def test_slower_ones_have_rows_of_their_own(name: str, option: str) -> None:
    peer = find(name)
    if reason := peer.missing():
        pytest.skip(reason)
    assert (peer.name, peer.slow) == (name, True)
    assert option in peer.version()
    assert find(name.partition("-")[0]).slow is False
    image = picture(64, 64)
    assert like(peer.decode(peer.encode(image, 60)), image).shape == image.shape


def test_a_peer_that_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert "pip install" in (JpegXl().missing() or "")
    with pytest.raises(UsageError, match="not installed"):
        JpegXl().encode(picture(8, 8), 50)
    monkeypatch.setattr(features, "check", lambda _: False)
    assert WebP().missing() == "this Pillow was built without WEBP"


def test_find() -> None:
    assert find("webp") is PEERS["webp"]
    assert find("ours") == Ours()
    with pytest.raises(UsageError, match="no codec named 'gif'"):
        find("gif")


def test_jpeg_xl_keeps_to_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, threads in (("", -1), ("1", 0), ("3", 3)):
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
        assert JpegXl._threads() == threads
