"""Entry point of `python -m halftone.sample`."""

import sys

from halftone import logs
from halftone.sample.generate import main

if __name__ == "__main__":
    logs.start(["sample", *sys.argv[1:]])
    sys.exit(main())
