"""`ncodec view`: what is written, what is served and to whom, what is refused."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from conftest import photograph
from PIL import Image

from neuralcodec.cli.main import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `phone.jpg`, to be turned by a quarter, and `phone.nc` made of it."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph(180, 240)).save("phone.jpg", exif=exif)
    assert main(["encode", "-q", "50", "phone.jpg", "--quiet"]) == 0
    return tmp_path


def test_a_page_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "phone.nc", "--against", "phone.jpg", "--out", "page.html"]) == 0
    assert capsys.readouterr() == ("", "")
    html = (here / "page.html").read_text()
    assert "<title>phone.nc against phone.jpg</title>" in html
    assert "180 × 240 pixels" in html  # upright
    assert f"{(here / 'phone.nc').stat().st_size:,} bytes" in html
    assert html.count("<img ") == 2


@pytest.mark.usefixtures("tiny_gru")
def test_a_file_in_stages_has_a_frame_for_each(here: Path) -> None:
    assert main(["encode", "phone.jpg", "stages.nc", "--model", "gru", "--quiet"]) == 0
    assert main(["view", "stages.nc", "--against", "phone.jpg", "--out", "page.html"]) == 0
    html = (here / "page.html").read_text()
    assert html.count("<img ") == 9
    assert "stages.nc, stage 3" in html
    assert f"{(here / 'stages.nc').stat().st_size:,} bytes" in html


@pytest.mark.usefixtures("here")
def test_through_pipes() -> None:
    call = [sys.executable, "-m", "neuralcodec", "view", "-", "--out", "-"]
    done = subprocess.run(call, input=Path("phone.nc").read_bytes(), capture_output=True, check=True)
    assert done.stderr == b""
    assert done.stdout.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("missing.nc", 2, "missing.nc: no such file"),
        ("phone.nc --against missing.png", 2, "missing.png: no such file"),
        ("- --against -", 2, "only one of the two can come from standard input"),
        ("phone.nc --out old.html", 2, "old.html exists: -f overwrites"),
        ("phone.nc --out missing/page.html", 2, "missing is not a folder that exists"),
        ("phone.nc --out phone.nc -f", 2, "phone.nc is an input, which is never overwritten"),
        ("phone.nc --against phone.jpg --out phone.jpg -f", 2, "phone.jpg is an input"),
        ("phone.nc --against small.png --out page.html", 2, "small.png has 20x10 pixels, phone.nc 180x240"),
        ("phone.nc --port 70000", 2, "must be 0 to 65535, not 70000"),
        ("cut.nc --out page.html", 3, "cut.nc: the file is cut short"),
        ("old.html --out page.html", 3, "no picture of a known format"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: str, status: int, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "old.html").write_text("old")
    (here / "cut.nc").write_bytes((here / "phone.nc").read_bytes()[:-30])
    Image.new("RGB", (20, 10)).save(here / "small.png")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert main(["view", *arguments.split()]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ncodec: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.usefixtures("here")
def test_a_page_is_served_here_and_to_nobody_else() -> None:
    call = [sys.executable, "-m", "neuralcodec", "view", "phone.nc"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stderr
            line = process.stdout.readline()
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/  \(Ctrl-C ends\)\n", line)
            assert found, line
            port = int(found[1])

            def ask(path: str, host: str, method: str = "GET") -> tuple[int, str, str]:
                connection = HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request(method, path, headers={"Host": host})
                answer = connection.getresponse()
                policy = answer.getheader("Content-Security-Policy", "")
                return answer.status, answer.read().decode(), policy

            status, html, policy = ask("/", f"localhost:{port}")
            assert (status, html.startswith("<!doctype html>")) == (200, True)
            assert policy.startswith("default-src 'none'")
            assert ask("/", f"127.0.0.1:{port}", "HEAD")[:2] == (200, "")
            assert ask("/etc/passwd", f"localhost:{port}")[0] == 404
            for host in (
                f"attacker.example:{port}",
                "attacker.example",
                "127.0.0.1.example",
                "127.0.0.1:x",
                "",
            ):
                assert ask("/", host)[0] == 403
            for host in ("127.0.0.1", "localhost"):  # a browser names no port where it is 80
                assert ask("/", host)[0] == 200
            if sys.platform == "linux":  # where all of 127.0.0.0/8 is this machine
                with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=5):
                    pass
        finally:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


@pytest.mark.usefixtures("here")
def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["view", "phone.nc", "--port", str(port)]) == 1
    assert capsys.readouterr().err == f"ncodec: error: port {port}: Address already in use\n"
