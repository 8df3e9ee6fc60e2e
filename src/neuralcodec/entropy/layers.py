"""The layers of the priors, described once.

Every form of a prior walks these tables: the trained one (`neuralcodec.models`), the integer one that files
are coded with (`entropy.prior`, `entropy.stages`), that with gradients (`coding.soft_prior`), and the export
from the first to the second (`training.export`).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

#: Upper end of the activations. A bounded range in training lets the integers use few bits at the same rate.
ACTIVATION_MAX = 8
#: Upper end of a latent at the entrance of a network, in the same unit: ±512 quantization steps, room for the
#: flat component at the highest quality. Some 3x3 layers have it as well.
LATENT_MAX = 64


class Kind(Enum):
    """What a layer does to each position."""

    DENSE = "a 1x1 convolution"
    UP = "a 1x1 convolution to four times the channels, of which a square of 2x2 positions is made"
    SPATIAL = "a 3x3 convolution of each channel by itself, zero padded"


class Layer(NamedTuple):
    """A layer, and the range that its output is clipped to.

    Args:
        to: which size of a model its output channels are.
        low, high: in the unit of activations.
    """

    name: str
    kind: Kind
    to: str
    low: int
    high: int


#: Layers one after another.
Chain: TypeAlias = tuple[Layer, ...]

#: z_hat to the features φ.
HYPER_SYNTHESIS: Chain = (
    Layer("hyper_out", Kind.DENSE, "latent", 0, ACTIVATION_MAX),
    Layer("hyper_up1", Kind.UP, "latent", 0, ACTIVATION_MAX),
    Layer("hyper_blur1", Kind.SPATIAL, "latent", -LATENT_MAX, LATENT_MAX),
    Layer("hyper_mid", Kind.DENSE, "latent", 0, ACTIVATION_MAX),
    Layer("hyper_up2", Kind.UP, "features", 0, ACTIVATION_MAX),
    Layer("hyper_blur2", Kind.SPATIAL, "features", -ACTIVATION_MAX, ACTIVATION_MAX),
)
#: φ and what is known of the latent to what the head of a context step sees; the head, a dense layer, gives a
#: mean and a scale index for every channel.
CONTEXT_STEP: Chain = (
    Layer("mix", Kind.DENSE, "width", 0, ACTIVATION_MAX),
    Layer("spatial", Kind.SPATIAL, "width", -LATENT_MAX, LATENT_MAX),
    Layer("expand", Kind.DENSE, "features", 0, ACTIVATION_MAX),
)
#: φ and the latent of a stage to what is added to φ, of the recurrent codec. Twice the range of φ: the sum is
#: clipped again, and until then nothing is lost.
FEATURE_UPDATE: Chain = (
    Layer("mix", Kind.DENSE, "width", 0, ACTIVATION_MAX),
    Layer("spatial", Kind.SPATIAL, "width", 0, ACTIVATION_MAX),
    Layer("project", Kind.DENSE, "features", -2 * ACTIVATION_MAX, 2 * ACTIVATION_MAX),
)
