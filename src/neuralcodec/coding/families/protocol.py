"""The interface of a family of models, for all that codes, trains or measures with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from neuralcodec.errors import UsageError
from neuralcodec.format.header import Codec
from neuralcodec.options import DEFAULT_EFFORT

if TYPE_CHECKING:
    from neuralcodec.arrays import Box, Pixels, Progress
    from neuralcodec.coding.batched import BatchedCodec
    from neuralcodec.coding.pixels import Kept
    from neuralcodec.entropy.coder import Draw
    from neuralcodec.format.container import Container
    from neuralcodec.format.header import Header
    from neuralcodec.weights import WeightsFile


class Decoded(NamedTuple):
    """Pixels `(h, w, 1 or 3)` of a region, and the numbers of tiles near it that are approximated."""

    pixels: Pixels
    lost: Sequence[int] = ()


class Family(Protocol):
    """A kind of model. Its members apply to any weights file of its codec.

    Importing a family loads neither numpy nor torch; its methods do.
    """

    codec: Codec
    #: A few words for the help of the command line.
    summary: str
    #: The default quality, 0 to 100.
    quality: float
    #: Side of a tile in pixels. Damage stays in a tile, a region takes whole ones, large ones save bytes.
    tile: int
    #: The highest effort; the lowest is 1.
    efforts: int = 1
    #: The largest picture, in pixels; None is no limit.
    max_pixels: int | None = None
    #: The module with its form in training, see `neuralcodec.training.forms`; None if it is not trained here.
    trained: str | None = None
    #: By kind, the modules with the forms of what is trained for its decoders: an encoder to inpaint, another
    #: synthesis, another encoder.
    companions: Mapping[str, str] = MappingProxyType({})

    def load(self, file: WeightsFile, device: str | None, *, effort: int = DEFAULT_EFFORT) -> Any:
        """Load a weights file for the other methods; `device` and `effort` are those of `encode_file`.

        Raises:
            UsageError: there is no such device. NeuralCodecError: it is no weights file of this version.
        """

    def graphs(self, file: WeightsFile, layers: int | None) -> Sequence[str]:
        """Name the graphs that decoding so many stages or layers runs first; with None, encoding."""
        return ()

    def stages(self, model: Any, header: Header) -> int:
        """Count the stages, or layers, of a file with this header."""
        return header.stages

    def quality_of(self, file: WeightsFile, stages: int) -> float:
        """Return the quality that a file has of which only so many stages, or layers, are kept."""
        return self.codec.quality_of(stages)

    def default_quality(self, file: WeightsFile) -> float:
        """Return the quality of files whose quality nobody chose."""
        return self.quality

    def margin(self, file: Container) -> int:
        """Return how many pixels beyond a tile, on each side, its latent has an influence on."""
        return 0

    def encode(
        self,
        model: Any,
        pixels: Pixels,
        header: Header,
        *,
        effort: int,
        report: Progress,
        kept: Kept | None,
    ) -> list[bytes]:
        """Code pixels `(H, W, 1 or 3)` to the segments of all tiles, in raster order, stage after stage."""

    def decode(
        self,
        model: Any,
        file: Container,
        region: Box,
        *,
        stages: int,
        reduce: int,
        partial: bool,
        report: Progress,
    ) -> Decoded:
        """Decode a region of a file.

        Args:
            stages: number of stages, or layers, to decode, from 1 to those that the file holds.
            reduce: 1, 2, 4, 8 or 16: give means of so many pixels to a side, as `box_reduced` makes them.
            partial: approximate lost tiles, and add to `file.damage` what else is wrong.

        Raises:
            DamagedFileError: a tile is damaged, unless `partial`.
        """

    def decode_stages(self, model: Any, file: Container, *, stages: int) -> Iterator[Pixels]:
        """Decode the whole picture `(H, W, 1 or 3)` after each of the first stages or layers."""

    def sample(self, model: Any, header: Header, draw: Draw, report: Progress) -> list[bytes]:
        """Draw the segments of all tiles from the prior, in the order of `encode`."""
        raise UsageError(f"the {self.codec.name} model has no prior to draw from")

    def interpolate(
        self, model: Any, one: Container, other: Container, shares: Sequence[float]
    ) -> Iterator[Pixels]:
        """Decode latents between those of two files of one header, at each share of the way."""
        raise UsageError(f"the {self.codec.name} model has no latent to walk in")

    def batched(self, file: WeightsFile, device: str) -> BatchedCodec:
        """Make a module for batches of tensors, see `neuralcodec.coding.batched`."""
        raise UsageError(f"the {self.codec.name} model has no form for batches: conv does")
