"""The layers of the priors, described once.

Every form of a prior is built from these chains: the trained one (`neuralcodec.models`), the integer one that
codes files (`entropy.prior`, `entropy.stages`) and the one with gradients (`coding.soft_prior`). So is the
export from the first to the second (`training.export`).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

#: Upper end of the activations. Because training bounds them, the integers need few bits at the same rate.
ACTIVATION_MAX = 8
#: Upper end of a latent that enters a network, in the same unit: ±512 quantization steps, enough for the flat
#: component at the highest quality. Some 3x3 layers use it as well.
LATENT_MAX = 64


class Kind(Enum):
    """The kind of a layer: what it does to each position."""

    DENSE = "a 1x1 convolution"
    UP = "a 1x1 convolution to four times the channels, of which a square of 2x2 positions is made"
    SPATIAL = "a 3x3 convolution of each channel by itself, zero padded"


class Layer(NamedTuple):
    """A layer, and the range that its output is clipped to.

    Args:
        to: names the size of a model that gives the number of output channels.
        low, high: the range, in the unit of activations.
    """

    name: str
    kind: Kind
    to: str
    low: int
    high: int


#: Layers one after another.
Chain: TypeAlias = tuple[Layer, ...]

#: From z_hat to the features φ.
HYPER_SYNTHESIS: Chain = (
    Layer("hyper_out", Kind.DENSE, "latent", 0, ACTIVATION_MAX),
    Layer("hyper_up1", Kind.UP, "latent", 0, ACTIVATION_MAX),
    Layer("hyper_blur1", Kind.SPATIAL, "latent", -LATENT_MAX, LATENT_MAX),
    Layer("hyper_mid", Kind.DENSE, "latent", 0, ACTIVATION_MAX),
    Layer("hyper_up2", Kind.UP, "features", 0, ACTIVATION_MAX),
    Layer("hyper_blur2", Kind.SPATIAL, "features", -ACTIVATION_MAX, ACTIVATION_MAX),
)
#: From φ and the known part of the latent to the input of a context step's head. The head, a dense layer,
#: gives a mean and a scale index for every channel.
CONTEXT_STEP: Chain = (
    Layer("mix", Kind.DENSE, "width", 0, ACTIVATION_MAX),
    Layer("spatial", Kind.SPATIAL, "width", -LATENT_MAX, LATENT_MAX),
    Layer("expand", Kind.DENSE, "features", 0, ACTIVATION_MAX),
)
#: From φ and the latent of a stage to the change of φ, in the recurrent codec. Its range is twice that of φ,
#: so that nothing is lost before the sum is clipped again.
FEATURE_UPDATE: Chain = (
    Layer("mix", Kind.DENSE, "width", 0, ACTIVATION_MAX),
    Layer("spatial", Kind.SPATIAL, "width", 0, ACTIVATION_MAX),
    Layer("project", Kind.DENSE, "features", -2 * ACTIVATION_MAX, 2 * ACTIVATION_MAX),
)
#: From the latent of the base to the features of the detail layer, at twice the resolution.
DETAIL_FEATURES: Chain = (
    Layer("detail_in", Kind.DENSE, "width", 0, ACTIVATION_MAX),
    Layer("detail_blur1", Kind.SPATIAL, "width", -LATENT_MAX, LATENT_MAX),
    Layer("detail_mid", Kind.DENSE, "width", 0, ACTIVATION_MAX),
    Layer("detail_up", Kind.UP, "features", 0, ACTIVATION_MAX),
    Layer("detail_blur2", Kind.SPATIAL, "features", -ACTIVATION_MAX, ACTIVATION_MAX),
)
