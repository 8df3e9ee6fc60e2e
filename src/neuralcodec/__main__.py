"""`python -m neuralcodec` is `ncodec`; `torchrun -m neuralcodec train …` needs it."""

from neuralcodec.cli.main import program

if __name__ == "__main__":
    program()
