from __future__ import annotations

import numpy as np
import pandas as pd

from halftone.serving.text_column import text_column


def test_nulls_are_kept_where_mlflow_takes_text_out() -> None:
    frame = pd.DataFrame({"text": text_column(["a", None, "None"])})
    assert frame["text"].isna().tolist() == [False, True, False]
    # In spark_udf.
    cast = pd.DataFrame(frame)["text"].astype(np.str_)
    assert cast.tolist() == ["a", None, "None"]
    assert list(frame["text"]) == ["a", None, "None"]
    # In the server.
    assert frame.to_dict(orient="records") == [{"text": "a"}, {"text": None}, {"text": "None"}]


def test_other_casts_are_those_of_pandas() -> None:
    numbers = pd.Series(text_column(["1", "2"]))
    assert numbers.astype("int64").tolist() == [1, 2]
    assert text_column([]).isna().tolist() == []
