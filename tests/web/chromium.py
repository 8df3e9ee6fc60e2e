"""The web package in headless Chromium: a server for it, and what a script in a page of it reports."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent

PAGE = """<!doctype html><title>test</title>
<script>
const report = answer => fetch("/report", {method: "POST", body: JSON.stringify(answer)});
const put = (name, bytes) => fetch(`/put/${name}`, {method: "PUT", body: bytes});
addEventListener("error", event => report({error: event.message}));
addEventListener("unhandledrejection", event => report({error: String(event.reason?.stack ?? event.reason)}));
</script>
<script type="module">
import * as nc from "/web/neuralcodec.js";
const main = async () => { %s };
report({answer: await main() ?? null});
</script>"""


class Answers:
    """What a page sent: its report, and bytes by name."""

    def __init__(self) -> None:
        self.reports: Queue[dict[str, Any]] = Queue()
        self.bytes: dict[str, bytes] = {}


class _Handler(SimpleHTTPRequestHandler):
    """Files of the repository, `page.html`, what a test adds, and the way back of answers."""

    def __init__(self, *args: Any, answers: Answers, files: dict[str, bytes]) -> None:
        self.answers, self.files = answers, files
        super().__init__(*args, directory=str(ROOT))

    def do_GET(self) -> None:
        content = self.files.get(self.path.strip("/"))
        if content is None:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.endswith(".html") else "image/x")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _take(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/report":
            self.answers.reports.put(json.loads(content))
        else:
            self.answers.bytes[self.path.removeprefix("/put/")] = content
        self.send_response(204)
        self.end_headers()

    do_POST = do_PUT = _take

    def log_message(self, *args: Any) -> None:
        pass


def browser() -> str:
    """The browser; a test is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no chromium to decode in")
    return found


def run(
    script: str,
    folder: Path,
    *,
    files: dict[str, bytes] | None = None,
    timeout: float = 100,
    memory: int | None = None,
) -> tuple[Any, dict[str, bytes]]:
    """What the body `script` of an async function returns in a page, and what it has `put(name, bytes)`.

    Args:
        folder: for the browser's own files.
        files: what the server has besides the files of the repository, by name.
        memory: bytes that no process of the browser may have held at any time.
    """
    found = browser()
    answers = Answers()
    given = {"page.html": (PAGE % script).encode(), **(files or {})}
    handler = functools.partial(_Handler, answers=answers, files=given)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        call = [found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        call += ["--no-first-run", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
        address = f"http://localhost:{server.server_port}/page.html"
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([*call, address], stdout=log, stderr=log)
            try:
                report = answers.reports.get(timeout=timeout)
                held = most_held(process.pid)
            except Empty:
                said = [line for line in (folder / "log").read_text().splitlines() if "CONSOLE" in line]
                raise AssertionError(f"the page never finished: {said}") from None
            finally:
                process.terminate()
                process.wait(60)  # longer than that only where it hangs
                server.shutdown()
    assert "error" not in report, report["error"]
    assert memory is None or held < memory, f"the browser held {held} bytes"
    return report["answer"], answers.bytes


def most_held(parent: int) -> int:
    """Bytes that the largest descendant of a process has ever held, where the system tells."""
    statuses = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/status")}
    fields: dict[int, dict[str, str]] = {}
    for number, path in statuses.items():
        with suppress(OSError):
            fields[number] = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)

    def descends(number: int) -> bool:
        while number in fields:
            if number == parent:
                return True
            number = int(fields[number]["PPid"])
        return False

    sizes = (int(fields[number].get("VmHWM", "0 kB").split()[0]) for number in fields if descends(number))
    return 1024 * max(sizes, default=0)
