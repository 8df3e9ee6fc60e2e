"""Variational autoencoders of small pictures: the idea of the codec, small enough to be seen whole."""
