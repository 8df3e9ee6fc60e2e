"""`python -m neuralcodec` is `ncodec`; `torchrun -m neuralcodec train …` needs it."""

import sys

from neuralcodec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
