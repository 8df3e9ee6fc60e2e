"""The sizes of a model that trains and codes in no time."""

from neuralcodec.models.conv import ConvConfig

TINY_MODEL = ConvConfig(
    levels=3,
    fine=8,
    coarse=16,
    fine_blocks=1,
    coarse_blocks=1,
    latent=16,
    hyper=8,
    features=12,
    width=20,
)
