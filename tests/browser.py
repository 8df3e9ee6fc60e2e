"""A page in headless Chromium: what a script in it finds wrong, and every error of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest

WATCH = """<script>
const tell = text => { parent.document.documentElement.dataset.error = text; };
addEventListener("error", event => tell(event.message || "failed to load"), true);
addEventListener("unhandledrejection", event => tell(String(event.reason)));
</script>"""


def faults(html: str, check: str, width: int, folder: Path, *options: str) -> list[str]:
    """What is wrong with a page in a window `width` by 900 CSS pixels.

    Args:
        check: JavaScript that runs when the page has loaded, and calls `fault(text)`.
        folder: for the browser's own files.
        options: more of the browser's command line.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("there is no chromium to show the page in")
    script = f"""<script>addEventListener("load", () => {{
const said = [], fault = text => said.push(text);
try {{ {check} }} catch (error) {{ fault(`the check failed: ${{error}}`); }}
parent.document.documentElement.dataset.said = said.join("; ") || "all well";
}});</script>"""
    document = html.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{script}</body>")
    # In a frame, since no window is as narrow as a telephone.
    frame = f'<iframe width="{width}" height="900" srcdoc="{escape(document)}"></iframe>'
    (folder / "page.html").write_text(f"<!doctype html><title>test</title>{frame}")
    call = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    call += ["--no-first-run", "--dump-dom", "--enable-logging=stderr"]
    call += [f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", *options]
    done = subprocess.run(
        [*call, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=100, check=True
    )
    top = done.stdout.partition("<head>")[0]
    said = re.findall(r'data-(?:said|error)="([^"]*)"', top) or ["the page never finished"]
    said += re.findall(r"CONSOLE.*", done.stderr)
    return [unescape(text) for text in said if text != "all well"]
