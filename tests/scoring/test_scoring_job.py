from __future__ import annotations

from halftone.config import Config
from halftone.scoring.scoring_job import ScoringJob
from report_pages import FACES, a_card


def test_wrong_number_of_predictions_is_reported_as_a_bug() -> None:
    job = ScoringJob(Config(), "/model", a_card(FACES), "/scores", started=0.0)
    assert str(job.count_mismatch("4 rows were scored, the test split has 5")) == (
        "4 rows were scored, the test split has 5; this is a bug. Nothing was published; try "
        "another --output than /scores, and report it"
    )
