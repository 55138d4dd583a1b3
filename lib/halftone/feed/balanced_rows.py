"""Draw rows so that all classes are equally frequent, by pure functions of their labels.

An epoch draws as many rows as the split has, the same number of each class (they differ by at most
one). A row of a small class is drawn several times, and one of a large class not in every epoch: in
an epoch the numbers of draws of two rows of one class and rank differ by at most one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def share_draws(row_counts: Counts) -> Counts:
    """Return how many rows each rank draws of each class in an epoch, (ranks, classes).

    A rank draws of its own rows. Its share of a class is in proportion to them, so all rows of a
    class are drawn equally often; ranks may draw unequal numbers of rows.

    Args:
        row_counts: (ranks, classes) rows; each class has at least one.
    """
    total, num_classes = int(row_counts.sum()), row_counts.shape[1]
    draws = np.zeros_like(row_counts)
    for class_id, rows in enumerate(row_counts.T):
        class_draws = total // num_classes + (class_id < total % num_classes)
        shares, remainders = np.divmod(rows * class_draws, rows.sum())
        # The ranks with the largest remainders get one more; of equal ones the first.
        largest = np.argsort(-remainders, kind="stable")[: class_draws - shares.sum()]
        shares[largest] += 1
        draws[:, class_id] = shares
    return draws


def draw_rows(label_ids: Counts, draws: Counts, rng: np.random.Generator) -> Counts:
    """Return the numbers of the drawn rows, shuffled, (sum of draws,).

    Args:
        label_ids: (N,) of the rows.
        draws: (classes,) number of rows to draw of each class.
    """
    drawn = []
    for class_id, num_draws in enumerate(draws):
        rows = np.flatnonzero(label_ids == class_id)
        if num_draws:
            repeats, num_more = divmod(int(num_draws), len(rows))
            drawn += [np.tile(rows, repeats), rng.choice(rows, num_more, replace=False)]
    return rng.permutation(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64)
