"""The sizes of models that train and code in no time."""

from neuralcodec.models.conv import ConvConfig
from neuralcodec.models.recurrent import RecurrentConfig

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
TINY_RECURRENT = RecurrentConfig(
    fine=8, coarse=12, render_blocks=1, priming=2, latent=8, features=12, width=16
)
