"""Variational autoencoders of small pictures: what the codec is, where it can be seen whole."""
