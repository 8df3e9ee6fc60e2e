"""The gru family: a recurrent residual autoencoder, whose files come in stages."""

#: Side, in pixels, of the square that shares one latent position.
STRIDE = 16
