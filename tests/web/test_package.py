"""What is in the web package: weights that fit their index, a version, types for what there is."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from neuralcodec import __version__

WEB = Path(__file__).parent.parent.parent / "web"


def test_index_names_every_file_with_its_hash() -> None:
    """Otherwise:  python -m neuralcodec.training.export_graphs src/neuralcodec/weights"""
    index = json.loads((WEB / "weights" / "index.json").read_text())
    for entry in index.values():
        content = (WEB / "weights" / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]
    packed = [
        pattern for pattern in json.loads((WEB / "package.json").read_text())["files"] if "*" in pattern
    ]
    there = {path.name for pattern in packed for path in WEB.glob(pattern)}
    assert {entry["file"] for entry in index.values()} == there


def test_golden_files_have_their_weights_in_the_index() -> None:
    index = json.loads((WEB / "weights" / "index.json").read_text())
    golden = json.loads((WEB.parent / "tests" / "golden" / "golden.json").read_text())
    assert {entry["weights"] for entry in golden.values()} <= set(index)


def test_versions_are_one() -> None:
    assert json.loads((WEB / "package.json").read_text())["version"] == __version__


def test_types_are_those_of_the_module() -> None:
    code, types = ((WEB / f"neuralcodec.{kind}").read_text() for kind in ("js", "d.ts"))
    declared = set(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", code, re.M))
    declared |= set(re.findall(r"^export \{(\w+), (\w+)\}", code, re.M).pop())
    assert declared == set(re.findall(r"^export (?:function|class|const) (\w+)", types, re.M))


def test_every_module_that_is_imported_is_there() -> None:
    listed = json.loads((WEB / "package.json").read_text())["files"]
    for path in [WEB / "neuralcodec.js", *(WEB / "lib").glob("*.js")]:
        for name in re.findall(r'(?:from|URL\() ?"(\./[^"]+\.js)"', path.read_text()):
            target = (path.parent / name).resolve()
            assert target.is_file(), f"{path.name} imports {name}"
            assert target.parent == WEB / "lib"
    assert "lib/" in listed
