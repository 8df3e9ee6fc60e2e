"""Fuzz with atheris:  python fuzz/fuzz.py container|decoder [OPTION of libFuzzer...]

`container` reads the bytes, `decoder` also decodes them with tiny models. Random bytes do not pass checksums,
so each input is also tried with checksums that fit. A finding is written as `crash-...`; give its name to run
it again.
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neuralcodec"]):
    import subject

    from neuralcodec.errors import DamagedFileError
    from neuralcodec.format.chunks import TILE, write_chunk
    from neuralcodec.format.header import parse_header
    from neuralcodec.format.varint import parse_varint


def repaired(data: bytes) -> bytes:
    """The file with checksums that fit, as far as the lengths of its chunks make sense."""
    try:
        at = parse_header(data)[1]
    except DamagedFileError:
        return data
    header_crc, out, tiles = zlib.crc32(data[:at]), data[:at], 0
    while at < len(data):
        try:
            length, start = parse_varint(data, at + 1, "a chunk")
        except DamagedFileError:
            break
        kind = chr(data[at] & 0x7F)
        out += write_chunk(kind, tiles if kind == TILE else 0, data[start : start + length], header_crc)
        tiles += kind == TILE
        at = start + length + 4
    return out


def test_container(data: bytes) -> None:
    subject.try_container(data)
    subject.try_container(repaired(data))


def test_decoder(data: bytes) -> None:
    for variant in (data, repaired(data)):
        whole = subject.try_container(variant)
        subject.try_decoder(variant, strict=whole is not None)


def main(argv: list[str]) -> None:
    """Runs the target that the first argument names, from the seeds, until told to stop."""
    targets = {"container": test_container, "decoder": test_decoder}
    if len(argv) < 2 or argv[1] not in targets:
        raise SystemExit(__doc__)
    subject.use_tiny_models()
    corpus = Path(tempfile.mkdtemp(prefix="neuralcodec-corpus-"))
    for name, data in subject.seeds().items():
        (corpus / name).write_bytes(data)
    files = [] if any(Path(word).is_file() for word in argv[2:]) else [str(corpus)]
    limits = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048"]
    atheris.Setup([argv[0], *limits, *argv[2:], *files], targets[argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
