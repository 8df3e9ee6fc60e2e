"""Download files: whole or not at all, with a time limit, and with clear errors."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from neuralcodec import files
from neuralcodec.errors import NeuralCodecError

TIMEOUT = 15.0  # seconds without an answer
_CHUNK = 1 << 16


def fetch(url: str, path: Path, *, limit: int, sha256: str | None = None) -> None:
    """Download a file; replace an existing one.

    Args:
        limit: the most bytes that the file may have.
        sha256: of its content, in hexadecimal; None where it is not known.

    Raises:
        NeuralCodecError: there is no network or no such file, or it is cut short, too large or a wrong one.
        OSError: the file cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.writing(path) as file:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                announced = int(answer.headers.get("Content-Length") or -1)
                while size <= limit and (chunk := answer.read(_CHUNK)):
                    size += len(chunk)
                    digest.update(chunk)
                    file.write(chunk)
        except urllib.error.HTTPError as error:
            raise NeuralCodecError(f"{url}: the server says {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            raise NeuralCodecError(f"{url}: {reason}") from None
        except (TimeoutError, ConnectionError) as error:
            raise NeuralCodecError(f"{url}: {error}") from None
        except (http.client.HTTPException, ValueError) as error:
            raise NeuralCodecError(f"{url}: no proper answer ({type(error).__name__})") from None
        if size > limit:
            raise NeuralCodecError(f"{url}: larger than the {limit:,} bytes that were expected at most")
        if size < announced:
            raise NeuralCodecError(f"{url}: cut short, {size:,} of {announced:,} bytes")
        if sha256 is not None and digest.hexdigest() != sha256:
            raise NeuralCodecError(f"{url}: not the expected file, its SHA-256 is {digest.hexdigest()}")
