"""Retrain on new images, compare with the champion, promote or keep, and notify."""

from __future__ import annotations

from argparse import Namespace

from halftone.retrain import command


def run(args: Namespace) -> int:
    """Retrain, or promote by hand, as the flags say; return the exit code for a scheduler."""
    return command.main(
        command.RetrainArguments(
            config=args.config,
            overrides=args.set,
            images=args.images,
            changes=args.changes,
            dry_run=args.dry_run,
            accept_drift=args.accept_drift,
            promote=args.promote,
            rollback=args.rollback,
            history=args.history,
        )
    )
