"""Columns of text with nulls that MLflow's clients keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import pandas as pd


class TextColumn(pd.arrays.StringArray):
    """pandas' array of text and pd.NA, which is None where other code takes text out of it.

    MLflow's spark_udf casts a column of text to `str`, which makes "None" or "<NA>" of a null. Its
    server makes JSON of the values of a row, and JSON knows no pd.NA.
    """

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        if isinstance(dtype, np.dtype) and dtype.kind == "U":
            return self._with_none()
        return super().astype(dtype, copy)

    def __iter__(self) -> Iterator[Optional[str]]:
        return iter(self._with_none())

    def _with_none(self) -> npt.NDArray[Any]:
        # The stubs do not know that None is allowed.
        return self.to_numpy(object, na_value=None)  # type: ignore[arg-type]


def text_column(values: Sequence[Optional[str]]) -> TextColumn:
    """Return a column of text; None is null."""
    return TextColumn(np.array([pd.NA if text is None else text for text in values], object))
