"""The content of label_errors.json, and the lines that the job prints."""

from __future__ import annotations

import json
from pathlib import Path

from drawn_label_errors import LABELS, PAIRS, SUMS, drawn_findings
from halftone.label_errors import findings


def test_classes_with_thresholds_and_estimates() -> None:
    classes = findings.list_classes(LABELS, SUMS, PAIRS)
    assert [tuple(of_class.model_dump().values()) for of_class in classes] == [
        ("cat", 30, 0.9, 8, 10.0),
        ("dog", 20, 0.5, 1, 0.0),
        ("owl", 0, None, 0, 0.0),
    ]
    assert [of_class.estimated_share for of_class in classes] == [1 / 3, 0, 0]


def test_pairs_are_those_that_are_not_empty() -> None:
    pairs = findings.list_pairs(LABELS, SUMS, PAIRS)
    assert [tuple(pair.model_dump().values()) for pair in pairs] == [
        ("cat", "cat", 20, 20.0, 0),
        ("cat", "dog", 10, 10.0, 8),
        ("dog", "dog", 5, 20.0, 0),
        ("dog", "owl", 0, 0.0, 1),
    ]
    top = drawn_findings().top_pairs(1)
    assert [(pair.label, pair.other) for pair in top] == [("cat", "dog")]


def test_findings_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert findings.read_findings(str(tmp_path)) is None
    found = drawn_findings()
    text = json.dumps(found.model_dump(mode="json"))
    (tmp_path / "label_errors.json").write_text(text)
    assert findings.read_findings(str(tmp_path)) == found
    (tmp_path / "label_errors.json").write_text('{"run": 1}')
    assert findings.read_findings(str(tmp_path)) is None


def test_the_lines_of_the_job() -> None:
    lines = findings.format_findings(drawn_findings(), "/out/errors").splitlines()
    assert lines == [
        "class  rows  issues  estimated wrong   share",
        "-----  ----  ------  ---------------  ------",
        "cat      30       8               10  33.33%",
        "dog      20       1                0   0.00%",
        "owl       0       0                0   0.00%",
        "",
        "about 10 of 50 labels (20.00%) are estimated to be wrong; 9 images are confident issues",
        "7 images of the test split have no out-of-fold prediction, so their labels were not "
        "judged",
        "2 rejects and duplicates were not judged",
        "list: /out/errors/label_errors.parquet",
        "corrections: /out/errors/corrections.csv",
        "page: /out/errors/label_errors.html",
        "label errors: /out/errors",
    ]


def test_of_many_classes_the_worst_are_shown() -> None:
    (worst, *_) = findings.list_classes(LABELS, SUMS, PAIRS)
    others = [
        worst.model_copy(update={"label": f"c{n}", "estimated_errors": 0.0}) for n in range(30)
    ]
    text = findings.format_findings(drawn_findings(classes=[*others, worst]), "/out")
    assert text.splitlines()[2].split() == ["cat", "30", "8", "10", "33.33%"]
    assert "the 20 of 31 classes with the most wrong labels" in text.splitlines()
