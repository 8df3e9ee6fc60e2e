"""The gru family: a recurrent residual autoencoder, whose files come in stages."""

#: Pixels to a side that share one position of the latent.
STRIDE = 16
