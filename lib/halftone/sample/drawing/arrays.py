"""Type aliases for the arrays that the modules of this package exchange.

The types are loose, because numpy and OpenCV return differently typed arrays; the names and
comments document dtype and shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[Any]  # float32, (h, w) or (h, w, 3)
ByteImage = NDArray[Any]  # uint8, (h, w, 3)
PointArray = NDArray[Any]  # float64, (n, 2)
Colour = NDArray[Any]  # float64, (3,)


def as_float32(values: Any) -> FloatImage:
    return np.asarray(values, np.float32)
