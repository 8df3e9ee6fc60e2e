"""Our own codecs as the benchmark sees them: any model, at any effort.

`ours` is the default model at the default effort; `ours-gru`, `ours-e9` and `ours-NAME-e9` name others.
"""

from __future__ import annotations

import functools
import hashlib
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import neuralcodec
from neuralcodec import weights
from neuralcodec.bench.peers import as_array, as_pillow
from neuralcodec.coding.families import family_of
from neuralcodec.coding.families.protocol import Family
from neuralcodec.errors import NeuralCodecError, NeuralCodecWarning, UsageError
from neuralcodec.models.runtime import described
from neuralcodec.options import DEFAULT_EFFORT, DEFAULT_MODEL
from neuralcodec.picture.metrics import Image8

_NAME = re.compile(r"ours(?:-(?!e[1-9]$)(?P<model>.+?))?(?:-e(?P<effort>[1-9]))?")
_NO_PART_OF_FILES = ("bench", "training")


def find(name: str) -> Ours:
    """Return the codec of that name.

    Raises:
        UsageError: it is not a name of ours, or there is no such model.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"no codec named {name!r}; ours are ours, ours-MODEL, ours-e9 and ours-MODEL-e9")
    codec = Ours(found["model"] or DEFAULT_MODEL, int(found["effort"] or DEFAULT_EFFORT))
    if reason := codec.missing():
        raise UsageError(reason)
    return codec


@dataclass(frozen=True)
class Ours:
    """neuralcodec with one of its models, at one effort."""

    model: str = DEFAULT_MODEL
    effort: int = DEFAULT_EFFORT
    limits: ClassVar[tuple[int, int]] = (0, 100)
    slow: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """`ours`, with the model and the effort where they are not the default ones."""
        model = "" if self.model == DEFAULT_MODEL else f"-{self.model}"
        return f"ours{model}" + ("" if self.effort == DEFAULT_EFFORT else f"-e{self.effort}")

    @property
    def label(self) -> str:
        """`neuralcodec`, with the model and the effort where they are not the default ones."""
        model = "" if self.model == DEFAULT_MODEL else f" {self.model}"
        return f"neuralcodec{model}" + ("" if self.effort == DEFAULT_EFFORT else f", effort {self.effort}")

    @property
    def family(self) -> Family:
        """The family of the model."""
        return family_of(weights.by_name(self.model).codec)

    @property
    def settings(self) -> tuple[int, ...]:
        """The qualities of a curve; for a model in stages, one for each stage."""
        codec = self.family.codec
        if codec.in_stages:
            return tuple(round(codec.quality_of(count)) for count in range(1, codec.stages + 1))
        return 0, 10, 20, 30, 40, 55, 70, 85, 100

    def nearest(self, qualities: Iterable[int]) -> tuple[int, ...]:
        """Return the settings for some qualities, without those that would give the same files."""
        if not self.family.codec.in_stages:
            return tuple(sorted(set(qualities)))
        return tuple(sorted({min(self.settings, key=lambda s: abs(s - quality)) for quality in qualities}))

    def missing(self) -> str | None:
        """Return why the codec cannot be used here; None where it can."""
        try:
            most = self.family.efforts
        except NeuralCodecError as error:
            return str(error)
        if self.effort > most:
            return f"{self.model} has no other effort than {most}"
        return None

    def version(self) -> str:
        """Describe the versions of the package and its run time, with hashes of the code and of the weights.

        Raises:
            UsageError: the package ships no such model.
        """
        digest = hashlib.sha256(weights.by_name(self.model).path.read_bytes()).hexdigest()
        facts = [f"neuralcodec {metadata.version('neuralcodec')}", f"code {_code()}"]
        facts += [f"{self.model} weights {digest[:16]}", f"effort {self.effort}"]
        return ", ".join([*facts, described(effort=self.effort)])

    def encode(self, image: Image8, setting: int) -> bytes:
        """Encode a picture `(H, W, 3)` or `(H, W, 1)`; return the file."""
        picture = as_pillow(image)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeuralCodecWarning)  # that a picture is not a photograph
            return neuralcodec.encode(picture, quality=setting, model=self.model, effort=self.effort)

    def decode(self, data: bytes) -> Image8:
        """Decode a file to the picture that a viewer sees."""
        return as_array(neuralcodec.decode(data))


@functools.cache
def _code() -> str:
    """Hash the modules that make files: between two releases, the version does not tell them apart."""
    root = Path(neuralcodec.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in _NO_PART_OF_FILES:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
