"""The flags of the jobs."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional


class CommandParser(argparse.ArgumentParser):
    """A parser whose help keeps the lines of its description, and which suggests settings."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)

    def parse_known_args(  # type: ignore[override]
        self,
        args: Optional[Sequence[str]] = None,
        namespace: Optional[argparse.Namespace] = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments, all of which must be known; suggest what an unknown flag may mean.

        argparse calls it of the parser of a sub-command, too.

        Raises:
            SystemExit: an argument is wrong; the exit code is 2.
        """
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._hint(unknown)}")
        return parsed, []

    def _hint(self, unknown: Sequence[str]) -> str:
        """Return a flag with nearly the name of an unknown one, or the setting of its name."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        hints = []
        for flag, value in zip(unknown, [*unknown[1:], ""]):
            if not flag.startswith("--"):
                continue
            close = difflib.get_close_matches(flag.partition("=")[0], flags, n=1, cutoff=0.8)
            if close:
                hints.append(f"did you mean {close[0]}?")
                continue
            is_value = value and not value.startswith("--")
            setting = _suggest_setting(flag, value if is_value else "VALUE")
            hints += [f"as a setting it is {setting}"] if setting else []
        return "; " + ", ".join(hints) if hints else ""


def _suggest_setting(flag: str, value: str) -> Optional[str]:
    try:
        from halftone.config import suggest_setting  # here: --help needs no packages
    except ModuleNotFoundError:
        return None
    return suggest_setting(flag, value)


class JobFlags(NamedTuple):
    """The flags of a job besides --config and --set.

    Attributes:
        paths: flags and the settings in section `paths` that they override, such as
            {"--input": "images"}.
        settings: flags that override one setting each, such as {"--folds": "splits.folds"}.
        switches: flags without a value and their help, such as {"--prune": "..."}; the job gets
            each as a keyword argument.
        output_keys: the settings in `paths` that name outputs of the job. If given, the job has a
            flag --check, which checks the cluster and does not run the job.
    """

    paths: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}
    switches: Mapping[str, str] = {}
    output_keys: Sequence[str] = ()

    def switch_names(self) -> list[str]:
        """Return the keyword arguments that the job gets."""
        return [switch.lstrip("-").replace("-", "_") for switch in self.switches]

    def given_settings(self, args: argparse.Namespace) -> list[tuple[str, str, str]]:
        """Return the flags of settings that `args` has, with the dotted key and the value."""
        flags = [
            *((flag, f"paths.{key}", getattr(args, key)) for flag, key in self.paths.items()),
            *((flag, key, getattr(args, key)) for flag, key in self.settings.items()),
        ]
        return [(flag, key, value) for flag, key, value in flags if value is not None]

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add --config, these flags, and --set."""
        add_config_flag(parser)
        for flag, key in self.paths.items():
            parser.add_argument(flag, dest=key, metavar="URL", help=f"overrides paths.{key}")
        for flag, key in self.settings.items():
            parser.add_argument(flag, dest=key, metavar="VALUE", help=f"overrides {key}")
        for switch, switch_help in self.switches.items():
            parser.add_argument(switch, action="store_true", help=switch_help)
        if self.output_keys:
            parser.add_argument(
                "--check", action="store_true", help="only check driver, executors and paths"
            )
        add_set_flag(parser)


def add_config_flag(parser: argparse.ArgumentParser, help: str = "YAML file of settings") -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help=help)


def add_set_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides one setting, such as train.epochs=3; may be repeated",
    )
