"""A download is whole, or an error in one line and no file."""

import hashlib
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from neuralcodec.bench import download
from neuralcodec.bench.download import fetch
from neuralcodec.errors import NeuralCodecError

from .conftest import serving

CONTENT = bytes(range(256)) * 1000


class CutShort(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")


class Silent(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(1)  # until the client hangs up


class Nonsense(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.wfile.write(b"\0\0\0\n")


def test_a_file_comes_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    target = tmp_path / "new" / "folder" / "file"
    with serving(tmp_path) as address:
        fetch(f"{address}/file", target, limit=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("handler", "message"),
    [(CutShort, "cut short, 4 of 1,000 bytes"), (Silent, "timed out"), (Nonsense, "no proper answer")],
)
def test_servers_that_fail(
    tmp_path: Path, handler: type[SimpleHTTPRequestHandler], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    handler.log_message = lambda *_: None  # type: ignore[method-assign]
    with serving(tmp_path, handler) as address, pytest.raises(NeuralCodecError, match=message) as caught:
        fetch(f"{address}/file", tmp_path / "target", limit=10_000)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_the_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    target = tmp_path / "out" / "target"
    with serving(tmp_path) as address:
        with pytest.raises(NeuralCodecError, match="the server says 404"):
            fetch(f"{address}/other", target, limit=10_000)
        with pytest.raises(NeuralCodecError, match="larger than the 10,000 bytes"):
            fetch(f"{address}/file", target, limit=10_000)
        with pytest.raises(NeuralCodecError, match="not the expected file, its SHA-256 is"):
            fetch(f"{address}/file", target, limit=len(CONTENT), sha256="0" * 64)
    with pytest.raises(NeuralCodecError, match="refused"):
        fetch(f"{address}/file", target, limit=10_000)
    with pytest.raises(NeuralCodecError):
        fetch("http://", target, limit=10_000)
    assert list(target.parent.iterdir()) == []


def test_an_existing_file_outlives_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with serving(tmp_path) as address, pytest.raises(NeuralCodecError):
        fetch(f"{address}/none", target, limit=10)
    assert target.read_bytes() == b"old"
