"""Entry point of `python -m halftone.sample`."""

import sys

from halftone.sample.generate import main

if __name__ == "__main__":
    sys.exit(main())
