"""One night: take in what is new, check it, train, compare, promote or keep, tell.

Each step is done once. What it leaves is in the journal, and the next step reads nothing else: a
night that was killed goes on in another process behind the last step that is done.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, NamedTuple, Optional

from halftone.errors import RunError
from halftone.retrain import cleanup, notify, page, steps
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
from halftone.retrain.state.lock import Lock, LockLostError

# What an outcome tells of what was taken in.
_PREPROCESS_FIELDS = ("new_images", "new_rejects", "rows", "dataset_version", "basis")
_OUTCOMES = {PROMOTE: PROMOTED, KEEP: KEPT, REFUSE: REFUSED}


class RetrainRun(NamedTuple):
    job: RetrainJob
    journal: Journal
    lock: Lock

    def execute(self) -> JournalEntry:
        """Do what is left of the night; return its outcome, or what a dry run came to.

        Raises:
            InputError: the config, or the images as they are, are not acceptable.
            RunError: a step failed; the same call goes on with it.
            LostError: another process goes on with this night.
        """
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            found = self._run_steps()
            if found["outcome"] == history.DRY_RUN:
                return found
            outcome = self.journal.record(OUTCOME, found)
        self.finish(outcome)
        return outcome

    def close(self, reason: str, exit_code: Optional[int] = None) -> JournalEntry:
        """End the night without a decision; the next one takes up all that is new.

        Args:
            exit_code: that of the call which closes it, where it is of a kind of its own.
        """
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            more = {} if exit_code is None else {"exit_code": exit_code}
            found = self._find_completed_promotion() or self._build_outcome(FAILED, reason, more)
            outcome = self.journal.record(OUTCOME, found)
        self.finish(outcome)
        return outcome

    def finish(self, outcome: JournalEntry) -> None:
        """Do what follows an outcome, and does not change it any more."""
        if outcome["outcome"] != NOTHING_NEW:
            self._try_step("page", lambda: page.write_page(self.job))
        self._try_step(
            "notify",
            lambda: notify.send_outcome(self.job.settings, self.job.registry.name, outcome),
        )
        if outcome["outcome"] != NOTHING_NEW:
            self._try_step("tidy", lambda: cleanup.remove_obsolete(self.job))
        self.journal.run_step(ENDED, dict)

    def _run_steps(self) -> JournalEntry:
        job, step, folder = self.job, self.journal.run_step, self.journal.folder
        begun = step(BEGIN, lambda: steps.read_initial_state(job))
        made = step("preprocess", lambda: steps.update_dataset(job, begun))
        nothing = self._nothing_new_outcome(begun, made)
        if nothing is not None:
            return nothing
        dataset = str(step("snapshot", lambda: steps.snapshot_dataset(job))["dataset"])
        drifted = step(
            "drift", lambda: check_drift(job, self.journal.run_number, begun, made, dataset)
        )
        if drifted["level"] == STOP:
            return self._drift_outcome(drifted)
        if drifted["reason"]:
            print(f"drift ({drifted['level']}): {drifted['reason']}", flush=True)
        start = step("start", lambda: steps.choose_start_weights(job, dataset))
        model = step("train", lambda: steps.train_challenger(job, folder, dataset, start))["model"]
        champion = start["champion"]
        challenger = step("register", lambda: steps.register_challenger(job, folder, model))[
            "version"
        ]
        scored = step("score", lambda: steps.score_models(job, folder, dataset, model, champion))
        decided = step("gate", lambda: steps.apply_gate(job, scored, champion, challenger))
        return self._conclude(champion, challenger, scored, decided)

    def _conclude(
        self,
        champion: Optional[str],
        challenger: str,
        score_entry: JournalEntry,
        gate_entry: JournalEntry,
    ) -> JournalEntry:
        kind, reason = _OUTCOMES[gate_entry["action"]], gate_entry["reason"]
        more = {
            "challenger": challenger,
            "champion_before": champion,
            "measures": score_entry["measures"],
            "decision": gate_entry,
        }
        if self.job.dry_run:
            would_be = {**more, "would_be": kind}
            return self._build_outcome(history.DRY_RUN, f"would be {kind}: {reason}", would_be)
        if kind == PROMOTED:
            moved = self.journal.run_step(
                "promote",
                lambda: steps.promote_challenger(self.job, self.lock, champion, challenger),
            )
            if moved["void"]:
                return self._build_outcome(FAILED, moved["void"], more)
        return self._build_outcome(kind, reason, more)

    def _nothing_new_outcome(
        self, begin_entry: JournalEntry, preprocess_entry: JournalEntry
    ) -> Optional[JournalEntry]:
        """The outcome of a night with nothing to train on."""
        decided = history.last_decided_outcome(history.read_outcomes(self.job.root))
        if decided is None or decided["basis"] != preprocess_entry["basis"]:
            return None
        before, now = reject_counts(begin_entry, preprocess_entry)
        findings = find_drift(
            statistics.EMPTY, statistics.EMPTY, before, now, self.job.settings.drift
        )
        rejected = summarise_findings(findings, [], self.job.accept_drift)
        if rejected["level"] == STOP:
            return self._drift_outcome(rejected)
        several = f": {now.rejects:,} images were rejected" if now.rejects else ""
        reason = f"no new rows and no other settings since night {decided['night']}{several}"
        return self._build_outcome(NOTHING_NEW, reason)

    def _drift_outcome(self, drift_entry: JournalEntry) -> JournalEntry:
        return self._build_outcome(
            HELD_BY_DRIFT,
            f"new images differ from those before: {drift_entry['reason']}. Nothing was trained; mend "
            "or remove them (retrain.prune), or take them for normal with --accept-drift",
            {"drift": drift_entry},
        )

    def _build_outcome(
        self, kind: str, reason: str, more: Optional[JournalEntry] = None
    ) -> JournalEntry:
        begun, made = (self.journal.read(step) or {} for step in (BEGIN, "preprocess"))
        own = {
            "begun_at": begun.get("at"),
            "drift": self.journal.read("drift") or {},
            **{name: made[name] for name in _PREPROCESS_FIELDS if name in made},
            **(more or {}),
        }
        return history.build_outcome(
            self.journal.run_number, BY_RUN, kind, reason, self._find_champion(kind), own
        )

    def _find_champion(self, kind: str) -> Optional[str]:
        """The champion behind an outcome."""
        if kind != NOTHING_NEW:  # on which MLflow's seconds are not spent
            try:
                found = self.job.registry.champion()
                return found.number if found else None
            except RunError:
                if kind != FAILED:  # nor must a night stay open for ever as MLflow is away
                    raise
        return history.last_champion(history.read_outcomes(self.job.root))

    def _find_completed_promotion(self) -> Optional[JournalEntry]:
        """The outcome of a promotion that is done, and was killed before it could say so."""
        said: Optional[JournalEntry] = (self.journal.read(BEGIN) or {}).get("by_hand")
        if said:
            return said if self._find_champion(PROMOTED) == said["champion"] else None
        decided, made = self.journal.read("gate"), self.journal.read("register")
        if self.job.dry_run or not decided or not made or decided["action"] != PROMOTE:
            return None
        return self._run_steps() if self._find_champion(PROMOTED) == str(made["version"]) else None

    def _try_step(self, name: str, work: Callable[[], Any]) -> None:
        """Do a step of which nothing else depends: a failure is said, and noted."""

        def tried() -> JournalEntry:
            try:
                return {"result": work()}
            except LockLostError:
                raise
            except Exception as error:
                return report_failed_step(name, str(error))

        self.journal.run_step(name, tried)


def manual_interruption_reason(begin_entry: JournalEntry) -> str:
    """Why what was said by hand is not done, where it was killed ahead of it; "" for a night."""
    said = begin_entry.get("by_hand")
    return f"{said['reason']}: killed on the way; say it again" if said else ""


def report_failed_step(step: str, error: str) -> JournalEntry:
    """Say that a step behind the outcome is not done; return what is noted instead."""
    print(f"{step}: {error}; the outcome stands", file=sys.stderr, flush=True)
    return {"result": None, "error": error}
