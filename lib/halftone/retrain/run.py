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
from halftone.retrain.drift.step import check, judged, rejects
from halftone.retrain.gate.decision import KEEP, PROMOTE, REFUSE
from halftone.retrain.job import Job
from halftone.retrain.state import history
from halftone.retrain.state.history import BY_NIGHT, FAILED, HELD, KEPT, NOTHING, PROMOTED, REFUSED
from halftone.retrain.state.journal import BEGIN, ENDED, OUTCOME, Entry, Journal
from halftone.retrain.state.lock import Lock, LostError

# What an outcome tells of what was taken in.
_TAKEN_IN = ("new_images", "new_rejects", "rows", "dataset_version", "basis")
_OUTCOMES = {PROMOTE: PROMOTED, KEEP: KEPT, REFUSE: REFUSED}


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

    def close(self, reason: str, exit_code: Optional[int] = None) -> Entry:
        """End the night without a decision; the next one takes up all that is new.

        Args:
            exit_code: that of the call which closes it, where it is of a kind of its own.
        """
        outcome = self.journal.read(OUTCOME)
        if outcome is None:
            more = {} if exit_code is None else {"exit_code": exit_code}
            found = self._reached() or self._outcome(FAILED, reason, more)
            outcome = self.journal.record(OUTCOME, found)
        self.end(outcome)
        return outcome

    def end(self, outcome: Entry) -> None:
        """Do what follows an outcome, and does not change it any more."""
        if outcome["outcome"] != NOTHING:
            self._if_possible("page", lambda: page.write(self.job))
        self._if_possible(
            "notify", lambda: notify.tell(self.job.settings, self.job.registry.name, outcome)
        )
        if outcome["outcome"] != NOTHING:
            self._if_possible("tidy", lambda: cleanup.tidy(self.job))
        self.journal.step(ENDED, dict)

    def _work(self) -> Entry:
        job, step, folder = self.job, self.journal.step, self.journal.folder
        begun = step(BEGIN, lambda: steps.begin(job))
        made = step("preprocess", lambda: steps.take_in(job, begun))
        nothing = self._nothing(begun, made)
        if nothing is not None:
            return nothing
        dataset = str(step("snapshot", lambda: steps.keep(job))["dataset"])
        drifted = step("drift", lambda: check(job, self.journal.night, begun, made, dataset))
        if drifted["level"] == STOP:
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
        before, now = rejects(begun, made)
        findings = find_drift(
            statistics.NONE, statistics.NONE, before, now, self.job.settings.drift
        )
        rejected = judged(findings, [], self.job.accept_drift)
        if rejected["level"] == STOP:
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
        begun, made = (self.journal.read(step) or {} for step in (BEGIN, "preprocess"))
        own = {
            "begun_at": begun.get("at"),
            "drift": self.journal.read("drift") or {},
            **{name: made[name] for name in _TAKEN_IN if name in made},
            **(more or {}),
        }
        return history.outcome(
            self.journal.night, BY_NIGHT, kind, reason, self._champion(kind), own
        )

    def _champion(self, kind: str) -> Optional[str]:
        """The champion behind an outcome."""
        if kind != NOTHING:  # on which MLflow's seconds are not spent
            try:
                found = self.job.registry.champion()
                return found.number if found else None
            except RunError:
                if kind != FAILED:  # nor must a night stay open for ever as MLflow is away
                    raise
        return history.last_champion(history.outcomes(self.job.root))

    def _reached(self) -> Optional[Entry]:
        """The outcome of a promotion that is done, and was killed before it could say so."""
        said: Optional[Entry] = (self.journal.read(BEGIN) or {}).get("by_hand")
        if said:
            return said if self._champion(PROMOTED) == said["champion"] else None
        decided, made = self.journal.read("gate"), self.journal.read("register")
        if self.job.dry_run or not decided or not made or decided["action"] != PROMOTE:
            return None
        return self._work() if self._champion(PROMOTED) == str(made["version"]) else None

    def _if_possible(self, name: str, work: Callable[[], Any]) -> None:
        """Do a step of which nothing else depends: a failure is said, and noted."""

        def tried() -> Entry:
            try:
                return {"result": work()}
            except LostError:
                raise
            except Exception as error:
                return let_go(name, str(error))

        self.journal.step(name, tried)


def undone(begun: Entry) -> str:
    """Why what was said by hand is not done, where it was killed ahead of it; "" for a night."""
    said = begun.get("by_hand")
    return f"{said['reason']}: killed on the way; say it again" if said else ""


def let_go(step: str, error: str) -> Entry:
    """Say that a step behind the outcome is not done; return what is noted instead."""
    print(f"{step}: {error}; the outcome stands", file=sys.stderr, flush=True)
    return {"result": None, "error": error}
