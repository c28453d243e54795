"""The command line: one file a verb, nothing heavy imported before the verb runs."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

from mobilens.errors import MobilensError

VERBS = {
    "train": "train a model on your photos; ends with a verified file",
    "evaluate": "measure a checkpoint or a model file on a data set",
    "predict": "label images with a model file",
    "index": "make an album of photos by their vectors, which can be searched and grouped",
    "search": "find the photos of an album that are most like an image",
    "groups": "put photos of an album together: of the same one, or nearly the same",
    "export": "turn a checkpoint into a verified model file",
    "quantize": "train a checkpoint so that it loses less in 8 bits",
    "verify": "prove again that a model file gives the answers it promises",
    "benchmark": "measure latency, accuracy, memory and size of model files, here or on a device",
    "check": "look for what would spoil a result in a data set",
    "info": "show an architecture, row by row, with its cost",
    "demo": "train, export and verify on digits that ship inside, in two minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        Exit code: 0 done, 1 a failed run, 2 wrong use, 130 stopped.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(next((word for word in arguments if not word.startswith("-")), None))
    args = parser.parse_args(arguments, argparse.Namespace(words=arguments))
    if not hasattr(args, "run"):
        parser.print_help()
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            # A name that the terminal cannot show is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(args.run(args))
    except MobilensError as error:
        print(f"mobilens {args.verb}: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, ImportError) as error:
        if not _stopped(error):
            raise
        print(f"mobilens {args.verb}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away, as `head` does: point stdout elsewhere so that exit stays quiet.
        sys.stdout = None
        return 0
    except OSError as error:
        # A full disk, a folder that may not be written to: the system's words, and which file.
        where = f"{error.filename}: " if error.filename else ""
        print(f"mobilens {args.verb}: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def _stopped(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error; libraries in C make an ImportError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _parser(verb: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mobilens", description="MobileNets, from your photos to your phone."
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")
    for name, summary in VERBS.items():
        sub = verbs.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=_HelpFormatter,
        )
        if name == verb:
            module = importlib.import_module(f"mobilens.cli.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show defaults that say something, and keep the lines of epilogs."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


class _Version(argparse.Action):
    """Print the version; reading package metadata only when asked keeps ``--help`` quick."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"mobilens {version('mobilens')}")
        parser.exit()
