"""One retraining run: preprocess, check for drift, train, compare, promote or keep, notify.

Each step is done once. Its result is in the journal, and later steps read nothing else, so another
process can resume a killed run after its last completed step.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, NamedTuple, Optional

from halftone import printable
from halftone.errors import RunError
from halftone.locking.lock import Lock, LockLostError
from halftone.retrain import cleanup, comparison_page, notify, page, steps
from halftone.retrain.drift import statistics
from halftone.retrain.drift.findings import STOP, find_drift
from halftone.retrain.drift.step import check_drift, reject_counts, summarise_findings
from halftone.retrain.gate.decision import KEEP, PROMOTE, REFUSE
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import history
from halftone.retrain.state.history import (
    BY_RUN,
    FAILED,
    HELD_BY_DRIFT,
    KEPT,
    NOTHING_NEW,
    PROMOTED,
    REFUSED,
)
from halftone.retrain.state.journal import BEGIN, ENDED, OUTCOME, Journal, JournalEntry
from halftone.system import job_process

_logger = logging.getLogger(__name__)

# Fields of the preprocess entry that an outcome repeats.
_PREPROCESS_FIELDS = ("new_images", "new_rejects", "rows", "dataset_version", "basis")
_OUTCOMES = {PROMOTE: PROMOTED, KEEP: KEPT, REFUSE: REFUSED}


class RetrainRun(NamedTuple):
    job: RetrainJob
    journal: Journal
    lock: Lock

    def execute(self) -> JournalEntry:
        """Do the remaining steps; return the outcome. A dry run does not record its outcome.

        Raises:
            InputError: the config or the images are not acceptable.
            RunError: a step failed; the next call resumes the run at that step.
            LockLostError: another process has taken over this run.
        """
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            new_outcome = self._run_steps()
            if new_outcome["outcome"] == history.DRY_RUN:
                return new_outcome
            outcome = self.journal.record(OUTCOME, new_outcome)
        self.finish(outcome)
        return outcome

    def close(self, reason: str, exit_code: Optional[int] = None) -> JournalEntry:
        """End the run as failed, unless it already has an outcome or a completed promotion.

        The next run covers all images that are new since the last decided run.

        Args:
            reason: why the run is closed.
            exit_code: the exit code of this call if it is not that of a failed run.
        """
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            overrides = {} if exit_code is None else {"exit_code": exit_code}
            if self.has_promoted():
                new_outcome = self._promotion_outcome()
            else:
                new_outcome = self._build_outcome(FAILED, reason, overrides)
            outcome = self.journal.record(OUTCOME, new_outcome)
        self.finish(outcome)
        return outcome

    def finish(self, outcome: JournalEntry) -> None:
        """Do the steps after the outcome, which cannot change it: page, notify, tidy."""
        if outcome["outcome"] != NOTHING_NEW:
            self._try_step("page", lambda: self._write_pages(outcome))
        self._try_step(
            "notify",
            lambda: notify.send_outcome(self.job.settings, self.job.registry.name, outcome),
        )
        if outcome["outcome"] != NOTHING_NEW:
            self._try_step("tidy", self._tidy)
        self.journal.run_step(ENDED, dict)

    def _write_pages(self, outcome: JournalEntry) -> str:
        """Write the page of this run's comparison, if there was one, and that of all runs."""
        try:
            comparison_page.write_comparison(self.job, self.journal, outcome)
        finally:
            url = page.write_page(self.job)
        return url

    def _tidy(self) -> JournalEntry:
        """Remove what is obsolete, and write the page of all runs without links to it."""
        removed = cleanup.remove_obsolete(self.job)
        if removed["nights"]:
            page.write_page(self.job)
        return removed

    def _run_steps(self) -> JournalEntry:
        job, step, folder = self.job, self.journal.run_step, self.journal.folder
        before = step(BEGIN, lambda: steps.read_initial_state(job))
        after = step("preprocess", lambda: steps.update_dataset(job, before))
        outcome = self._nothing_new_outcome(before, after)
        if outcome is not None:
            return outcome
        dataset = str(step("snapshot", lambda: steps.snapshot_dataset(job))["dataset"])
        drift = step(
            "drift", lambda: check_drift(job, self.journal.run_number, before, after, dataset)
        )
        if drift["level"] == STOP:
            return self._drift_outcome(drift)
        if drift["reason"]:
            printable.print_line(f"drift ({drift['level']}): {drift['reason']}")
        start = step("start", lambda: steps.choose_start_weights(job, dataset))
        model = step("train", lambda: steps.train_challenger(job, folder, dataset, start))["model"]
        champion = start["champion"]
        registration = step("register", lambda: steps.register_challenger(job, folder, model))
        challenger = registration["version"]
        scores = step("score", lambda: steps.score_models(job, folder, dataset, model, champion))
        decision = step("gate", lambda: steps.apply_gate(job, scores, champion, challenger))
        return self._conclude(champion, challenger, scores, decision)

    def _conclude(
        self,
        champion: Optional[str],
        challenger: str,
        score_entry: JournalEntry,
        gate_entry: JournalEntry,
    ) -> JournalEntry:
        result, reason = _OUTCOMES[gate_entry["action"]], gate_entry["reason"]
        fields = {
            "challenger": challenger,
            "champion_before": champion,
            "measures": score_entry["measures"],
            "decision": gate_entry,
        }
        if self.job.dry_run:
            fields["would_be"] = result
            return self._build_outcome(history.DRY_RUN, f"would be {result}: {reason}", fields)
        if result == PROMOTED:
            promotion = self.journal.run_step(
                "promote",
                lambda: steps.promote_challenger(self.job, self.lock, champion, challenger),
            )
            if promotion["void"]:
                return self._build_outcome(FAILED, promotion["void"], fields)
        return self._build_outcome(result, reason, fields)

    def _nothing_new_outcome(
        self, begin_entry: JournalEntry, preprocess_entry: JournalEntry
    ) -> Optional[JournalEntry]:
        """Return the outcome if nothing has changed since the last decided run, else None."""
        last_decided = history.last_decided_outcome(history.read_outcomes(self.job.root))
        if last_decided is None or last_decided["basis"] != preprocess_entry["basis"]:
            return None
        before, now = reject_counts(begin_entry, preprocess_entry)
        findings = find_drift(
            statistics.EMPTY, statistics.EMPTY, before, now, self.job.settings.drift
        )
        drift = summarise_findings(findings, [], self.job.accept_drift)
        if drift["level"] == STOP:
            return self._drift_outcome(drift)
        rejects = f": {now.rejects:,} images were rejected" if now.rejects else ""
        reason = f"no new rows and no changed settings since run {last_decided['night']}{rejects}"
        return self._build_outcome(NOTHING_NEW, reason)

    def _drift_outcome(self, drift_entry: JournalEntry) -> JournalEntry:
        return self._build_outcome(
            HELD_BY_DRIFT,
            f"new images differ from those before: {drift_entry['reason']}. Nothing was trained; "
            "correct or remove them (retrain.prune), or accept them as normal with --accept-drift",
            {"drift": drift_entry},
        )

    def _build_outcome(
        self, result: str, reason: str, fields: Optional[JournalEntry] = None
    ) -> JournalEntry:
        begin, preprocess = (self.journal.read(step) or {} for step in (BEGIN, "preprocess"))
        overrides = {
            "begun_at": begin.get("at"),
            "drift": self.journal.read("drift") or {},
            **{name: preprocess[name] for name in _PREPROCESS_FIELDS if name in preprocess},
            **(fields or {}),
        }
        kind = (begin.get("by_hand") or {}).get("kind", BY_RUN)
        return history.build_outcome(
            self.journal.run_number, kind, result, reason, self._find_champion(result), overrides
        )

    def _find_champion(self, result: str) -> Optional[str]:
        """Return the version number of the champion after an outcome."""
        if result != NOTHING_NEW:  # which does not change the champion: save MLflow's start
            try:
                champion = self.job.registry.champion()
                return champion.number if champion else None
            except RunError:
                if result != FAILED:  # a failed run must be closed even if MLflow is unreachable
                    raise
        return history.last_champion(history.read_outcomes(self.job.root))

    def has_promoted(self) -> bool:
        """Return whether the champion is the version that the run, or a user by it, promotes.

        If the run has no outcome, it was killed before it recorded that.
        """
        manual_outcome = self._manual_outcome()
        if manual_outcome:
            return self._find_champion(PROMOTED) == str(manual_outcome["champion"])
        decision, registration = self.journal.read("gate"), self.journal.read("register")
        if not decision or not registration or decision["action"] != PROMOTE:
            return False
        return self._find_champion(PROMOTED) == str(registration["version"])

    def _promotion_outcome(self) -> JournalEntry:
        """Return the outcome of a promotion that is done, also if this call is a dry run."""
        job = self.job._replace(dry_run=False)
        return self._manual_outcome() or self._replace(job=job)._run_steps()

    def _manual_outcome(self) -> Optional[JournalEntry]:
        """Return the outcome of a promotion by hand if it is done; None for a retraining run."""
        outcome: Optional[JournalEntry] = (self.journal.read(BEGIN) or {}).get("by_hand")
        return outcome

    def _try_step(self, name: str, work: Callable[[], Any]) -> None:
        """Do a step that nothing else depends on: a failure is printed and recorded."""

        def run_or_report() -> JournalEntry:
            try:
                return {"result": work()}
            except LockLostError:
                raise
            except Exception as error:
                job_process.raise_if_interrupted(error)
                return report_failed_step(name, str(error))

        self.journal.run_step(name, run_or_report)


def manual_interruption_reason(begin_entry: JournalEntry) -> str:
    """Return why an interrupted manual promotion is closed; "" for a retraining run."""
    manual_outcome = begin_entry.get("by_hand")
    if not manual_outcome:
        return ""
    return f"{manual_outcome['reason']}: killed before it was done; run the command again"


def report_failed_step(step: str, error: str) -> JournalEntry:
    """Print that a step after the outcome failed; return the entry to record for it."""
    _logger.warning("%s: %s; the outcome stands", step, error)
    return {"result": None, "error": error}
