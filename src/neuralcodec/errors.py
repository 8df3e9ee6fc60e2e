"""The errors that reach a user. Each carries the exit code `ncodec` ends with."""


class NeuralCodecError(Exception):
    """Something failed that the message explains in one line."""

    exit_code = 1


class UsageError(NeuralCodecError):
    """The call itself is wrong: an option, a value, a missing or existing file."""

    exit_code = 2


class DamagedFileError(NeuralCodecError):
    """The input is damaged, cut short, not an `.nc` file, or asks for more than the limits allow."""

    exit_code = 3


class NeuralCodecWarning(UserWarning):
    """Something of the input could not be kept, such as 16-bit precision; the work goes on."""
