"""Classifier two-sample test: can a classifier tell two samples of embeddings apart?

D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017, section 3: a classifier
is trained on one half of both samples, and its accuracy on the other half is the statistic.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# Fewer rows of a sample say nothing at usual confidence levels.
MIN_ROWS = 20
# A strong penalty: embeddings may have more dimensions than there are rows.
_INVERSE_PENALTY = 0.01
_MAX_ITERATIONS = 500

Sample = npt.NDArray[np.float64]


class TwoSampleResult(NamedTuple):
    rows: int  # that were classified, half of them of each sample
    accuracy: float  # 0.5 is chance
    by_chance: float  # the accuracy stays below this with the given confidence for equal samples


def compare_samples(before: Sample, new: Sample, confidence: float) -> Optional[TwoSampleResult]:
    """Test whether two samples come from one distribution.

    Args:
        before, new: (N, D) and (M, D), rows in random order. Of the larger one, the first rows are
            used, so that chance is 0.5.
        confidence: such as 0.999.

    Returns:
        None if a sample has fewer than MIN_ROWS rows.
    """
    size = min(len(before), len(new))
    if size < MIN_ROWS:
        return None
    half = size // 2
    train = np.vstack([before[:half], new[:half]])
    test = np.vstack([before[half:size], new[half:size]])
    classifier = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MAX_ITERATIONS),
    )
    classifier.fit(train, np.repeat([0, 1], half))
    rows = len(test)
    accuracy = float(classifier.score(test, np.repeat([0, 1], size - half)))
    # The number of right answers is binomial if the samples come from one distribution.
    return TwoSampleResult(rows, accuracy, float(binom.ppf(confidence, rows, 0.5)) / rows)
