"""The conv family: a variable-rate convolutional autoencoder with a hyper-latent."""

#: Side, in pixels, of the square that shares one latent position.
STRIDE = 16
#: Latent positions on each side that a transform's result depends on, in any of the shipped weights;
#: `tests/coding/test_tiling.py` measures it.
HALO = 7
#: The same for the pixels and the latent of a detail layer.
DETAIL_HALO = HALO + 2
#: The default quality, about a SSIMULACRA2 score, and the default side of a tile in pixels.
QUALITY, TILE = 70.0, 1024
#: The default quality of weights without a detail layer, whose qualities are levels of the base.
BASE_QUALITY = 50.0
