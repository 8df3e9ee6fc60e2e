"""What a loaded model is to those that code with it, whatever runs its transforms: numpy in, numpy out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from neuralcodec.arrays import Box, Floats, Pixels
    from neuralcodec.entropy.detail import DetailPrior
    from neuralcodec.entropy.prior import IntegerPrior
    from neuralcodec.entropy.stages import StagePriors
    from neuralcodec.models.conv.quality import QualityTable


class TileDecoder(Protocol):
    """The half of a `TileModel` that decodes.

    `prior` is that of the base, `detail_prior` that of the detail layer, None where the model has none.
    `levels` finds the levels and the rows of tables of a quality. The transforms of a latent position, in one
    layer, look at `halo` others on each side.
    """

    halo: int
    prior: IntegerPrior
    detail_prior: DetailPrior | None
    levels: QualityTable

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""

    def at(self, box: Box) -> TileDecoder:
        """Return the decoder of a box of positions, where the place matters."""

    def synthesise(
        self, y_hat: Floats, quality: float, reduce: int = 1, detail: Floats | None = None
    ) -> Pixels:
        """Decode y_hat `(h, w, C)`: pixels `(16 h / reduce, 16 w / reduce, 3)`, means of `reduce` a side.

        Args:
            detail: the decoded detail latent `(2h, 2w, D)`.
        """


class TileModel(TileDecoder, Protocol):
    """A model whose transforms run over windows of a picture: conv."""

    def features(self, pixels: Pixels | Floats) -> Any:
        """Compute the part of the analysis that is the same for every quality, of pixels `(H, W, 3)`."""

    def latent(self, features: Any, quality: float) -> Floats:
        """Compute y `(H/16, W/16, C)` from the result of `features`."""

    def hyper_analyse(self, y: Floats) -> Floats:
        """Compute z `(h/4, w/4, C_z)` from y `(h, w, C)`, h and w multiples of four."""

    def analyse_detail(self, pixels: Pixels | Floats, y_hat: Floats, quality: float) -> Floats:
        """Compute y2 `(2h, 2w, D)` from pixels `(16h, 16w, 3)` and the y_hat `(h, w, C)` of their base."""


class StageDecoder(Protocol):
    """The decoder of one picture: takes one stage after another."""

    stage: int

    def add(self, y_hat: Floats) -> None:
        """Take the latent `(h, w, C)` of the next stage."""

    def pixels(self) -> Pixels:
        """Show what the stages so far give: `(16 h, 16 w, 3)`."""


class StageEncoder(Protocol):
    """The encoder of one picture, with a decoder to see what is left over."""

    def latent(self) -> Floats:
        """Compute y `(H/16, W/16, C)` of the next stage; `add` must be called before the one after it."""

    def add(self, y_hat: Floats) -> None:
        """Take what the decoder will see of the latent."""

    def squared_error(self) -> Floats:
        """Mean squared error of every latent position's pixels `(H/16, W/16)`, in 8-bit levels."""


class StageModel(Protocol):
    """A model whose states go on from stage to stage: gru."""

    prior: StagePriors

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""

    def decoder(self, height: int, width: int) -> StageDecoder:
        """Make the decoder of a picture of `height` x `width` latent positions."""

    def encoder(self, pixels: Pixels) -> StageEncoder:
        """Make the encoder of pixels `(H, W, 3)`, sides multiples of 16."""
