"""The table of mistakes: which there are, in the order of the page."""

from __future__ import annotations

from mistakes import (
    command_mistakes,
    input_mistakes,
    late_mistakes,
    output_mistakes,
    storage_mistakes,
    training_mistakes,
)
from mistakes.mistake import Mistake

# The headings of the page.
SECTIONS: dict[str, tuple[Mistake, ...]] = {
    "The command line and the config file": command_mistakes.MISTAKES,
    "Images, datasets and models": input_mistakes.MISTAKES,
    "Outputs": output_mistakes.MISTAKES,
    "Training, scoring and retraining": training_mistakes.MISTAKES,
    "Object storage": storage_mistakes.MISTAKES,
    "Found while the job runs": late_mistakes.MISTAKES,
}
MISTAKES = tuple(mistake for section in SECTIONS.values() for mistake in section)
