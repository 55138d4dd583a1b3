"""One night: take in what is new, check it, train, compare, promote or keep, tell.

Each step is done once. What it leaves is in the journal, and the next step reads nothing else: a
night that was killed goes on in another process behind the last step that is done.
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple, Optional

from halftone.retrain import (
    cleaning,
    drift,
    drifting,
    gate,
    history,
    notify,
    page,
    steps,
    traits,
)
from halftone.retrain.history import BY_NIGHT, FAILED, HELD, KEPT, NOTHING, PROMOTED, REFUSED
from halftone.retrain.job import Job
from halftone.retrain.journal import BEGIN, ENDED, OUTCOME, Entry, Journal
from halftone.retrain.lock import Lock, LostError

_OUTCOMES = {gate.PROMOTE: PROMOTED, gate.KEEP: KEPT, gate.REFUSE: REFUSED}


class Night(NamedTuple):
    job: Job
    journal: Journal
    lock: Lock

    def run(self) -> Entry:
        """Do what is left of the night; return its outcome, or what a dry run came to.

        Raises:
            InputError: the config, or the images as they are, are not acceptable.
            RunError: a step failed; the same call goes on with it.
            LostError: another process goes on with this night.
        """
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            found = self._work()
            if found["outcome"] == history.DRY_RUN:
                return found
            outcome = self.journal.record(OUTCOME, found)
        self.end(outcome)
        return outcome

    def close(self, reason: str) -> Entry:
        """End the night without a decision; the next one takes up all that is new."""
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            outcome = self.journal.record(OUTCOME, self._outcome(FAILED, reason))
        self.end(outcome)
        return outcome

    def end(self, outcome: Entry) -> None:
        """Do what follows an outcome, and does not change it any more."""
        if outcome["outcome"] != NOTHING:
            self._if_possible("page", lambda: page.write(self.job))
        self._if_possible("notify", lambda: notify.tell(self.job.settings, outcome))
        if outcome["outcome"] != NOTHING:
            self._if_possible("tidy", lambda: cleaning.tidy(self.job))
        self.journal.step(ENDED, dict)

    def _work(self) -> Entry:
        job, step, folder = self.job, self.journal.step, self.journal.folder
        begun = step(BEGIN, lambda: steps.begin(job))
        made = step("preprocess", lambda: steps.take_in(job, begun))
        nothing = self._nothing(begun, made)
        if nothing is not None:
            return nothing
        dataset = str(step("snapshot", lambda: steps.keep(job))["dataset"])
        drifted = step(
            "drift", lambda: drifting.check(job, self.journal.night, begun, made, dataset)
        )
        if drifted["level"] == drift.STOP:
            return self._held(drifted)
        if drifted["reason"]:
            print(f"drift ({drifted['level']}): {drifted['reason']}", flush=True)
        start = step("start", lambda: steps.start(job, dataset))
        model = step("train", lambda: steps.train(job, folder, dataset, start))["model"]
        champion = start["champion"]
        challenger = step("register", lambda: steps.register(job, folder, model))["version"]
        scored = step("score", lambda: steps.score(job, folder, dataset, model, champion))
        decided = step("gate", lambda: steps.decide(job, scored, champion, challenger))
        return self._concluded(champion, challenger, scored, decided)

    def _concluded(
        self, champion: Optional[str], challenger: str, scored: Entry, decided: Entry
    ) -> Entry:
        kind, reason = _OUTCOMES[decided["action"]], decided["reason"]
        more = {
            "challenger": challenger,
            "champion_before": champion,
            "measures": scored["measures"],
            "decision": decided,
        }
        if self.job.dry_run:
            would_be = {**more, "would_be": kind}
            return self._outcome(history.DRY_RUN, f"would be {kind}: {reason}", would_be)
        if kind == PROMOTED:
            moved = self.journal.step(
                "promote", lambda: steps.promote(self.job, self.lock, champion, challenger)
            )
            if moved["void"]:
                return self._outcome(FAILED, moved["void"], more)
        return self._outcome(kind, reason, more)

    def _nothing(self, begun: Entry, made: Entry) -> Optional[Entry]:
        """The outcome of a night with nothing to train on."""
        decided = history.last_decided(history.outcomes(self.job.root))
        if decided is None or decided["basis"] != made["basis"]:
            return None
        before, now = drifting.rejects(begun, made)
        findings = drift.findings(traits.NONE, traits.NONE, before, now, self.job.settings.drift)
        rejected = drifting.judged(findings, [], self.job.accept_drift)
        if rejected["level"] == drift.STOP:
            return self._held(rejected)
        several = f": {now.rejects:,} images were rejected" if now.rejects else ""
        reason = f"no new rows and no other settings since night {decided['night']}{several}"
        return self._outcome(NOTHING, reason)

    def _held(self, drifted: Entry) -> Entry:
        return self._outcome(
            HELD,
            f"new images differ from those before: {drifted['reason']}. Nothing was trained; mend "
            "or remove them (retrain.prune), or take them for normal with --accept-drift",
            {"drift": drifted},
        )

    def _outcome(self, kind: str, reason: str, more: Optional[Entry] = None) -> Entry:
        made = self.journal.read("preprocess") or {}
        begun = self.journal.read(BEGIN) or {}
        if kind == NOTHING:  # MLflow's seconds are not spent on it
            champion = history.last_champion(history.outcomes(self.job.root))
        else:
            own = self.job.registry.champion()
            champion = own.number if own else None
        return {
            "night": self.journal.night,
            "kind": BY_NIGHT,
            "outcome": kind,
            "reason": reason,
            "begun_at": begun.get("at"),
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "new_images": made.get("new_images", 0),
            "new_rejects": made.get("new_rejects", 0),
            "rows": made.get("rows"),
            "dataset_version": made.get("dataset_version"),
            "basis": made.get("basis"),
            "champion_before": None,
            "challenger": None,
            "champion": champion,
            "measures": {},
            "drift": self.journal.read("drift") or {},
            **(more or {}),
        }

    def _if_possible(self, name: str, work: Callable[[], Any]) -> None:
        """Do a step of which nothing else depends: a failure is said, and noted."""

        def tried() -> Entry:
            try:
                return {"result": work()}
            except LostError:
                raise
            except Exception as error:
                print(f"{name}: {error}; the outcome stands", file=sys.stderr, flush=True)
                return {"result": None, "error": str(error)}

        self.journal.step(name, tried)
