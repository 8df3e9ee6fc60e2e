"""The conv family: a variable-rate convolutional autoencoder with a hyper-latent."""

#: Pixels to a side that share one position of the latent.
STRIDE = 16
#: Latent positions on each side that a transform's result depends on, in any of the shipped weights;
#: `tests/coding/test_tiling.py` measures it.
HALO = 7
#: Where the caller asks for no quality, and the side of a tile in pixels.
QUALITY, TILE = 50.0, 1024
