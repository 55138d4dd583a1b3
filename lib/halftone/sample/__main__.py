"""Entry point of `python -m halftone.sample`."""

import sys

from halftone.sample.generate import main

sys.exit(main())
