"""docs/vae.md and the code say the same: links lead to the lines that they name."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "vae.md"


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / link).exists(), link


def test_links_to_lines() -> None:
    """Of each function that the page names, the line where it begins."""
    links = re.findall(r"\[`(\w+)`\]\(([^)#]+)#L(\d+)\)", PAGE.read_text())
    assert len(links) >= 8
    for name, file, line in links:
        text = (PAGE.parent / file).read_text().splitlines()[int(line) - 1]
        assert re.match(rf"\s*def {name}\(", text), f"{name} is not in line {line} of {file}"
