"""The ``ocrserve`` command.

Each command is a module of :mod:`ocrserve.commands` with ``add_arguments(parser)`` and
``run(arguments) -> exit code``. Nothing here or at their top level imports torch, so ``--help`` and
usage errors answer at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from ocr_models.errors import OcrError
from ocrserve import __version__
from ocrserve.commands import COMMANDS

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests what a misspelt option or command may have meant."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Prints one line and where to read more, and leaves with the usage exit code."""
        self.exit(USAGE, f"{self.prog}: {message}\nTry: {self.prog} --help\n")

    def check_options(self, words: Sequence[str]) -> None:
        """Ends with an error at an unknown option, before missing arguments are looked at."""
        for word in words:
            if word == "--":
                return
            if word.startswith("--") and word.partition("=")[0] not in self._option_string_actions:
                self.refuse_unknown([word])

    def refuse_unknown(self, unknown: Sequence[str]) -> NoReturn:
        """Ends with an error about arguments that no option took."""
        first = unknown[0]
        if not first.startswith("-"):
            self.error(f"unexpected argument {first!r}")
        name = first.partition("=")[0]
        hints: dict[str, str] = self.get_default("option_hints") or {}
        if name in hints:
            self.error(f"there is no option {name}: {hints[name]}")
        near = difflib.get_close_matches(name.replace("_", "-"), self._option_string_actions, 1)
        self.error(f"there is no option {name}" + (f"; did you mean {near[0]}?" if near else ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code (0 done, 1 failure, 2 usage)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(lambda: _chosen_command(_top_parser(), words))


def mmocr2torchserve(arguments: Sequence[str] | None = None) -> int:
    """``ocrserve convert`` under the name that MMOCR's users know."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(lambda: (command_parser("mmocr2torchserve", "convert"), words))


def _top_parser() -> Parser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = Parser(
        prog="ocrserve",
        usage="ocrserve COMMAND [OPTIONS]",
        description="Train OCR models, package them for TorchServe, serve them, and read photos.\n"
        f"\ncommands:\n{listing}",
        epilog="examples:\n"
        "  ocrserve read photo.jpg\n"
        "  ocrserve convert default --output-folder model_store --model-name ocr\n"
        "  ocrserve serve --model-store model_store --models all\n\n"
        "'ocrserve COMMAND --help' explains one command. Exit codes: 0 done, 1 failure, 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"ocrserve {__version__}")
    return parser


def _chosen_command(top: Parser, words: list[str]) -> tuple[Parser, list[str]]:
    """The parser of the command that ``words`` start with, and the words after it."""
    if not words:
        top.print_help()
        top.exit(USAGE)
    name, *rest = words
    if name.startswith("-"):
        _, unknown = top.parse_known_args(words)
        top.refuse_unknown(unknown)
    if name == "help":
        return _chosen_command(top, [*rest[:1], "--help"])
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(COMMANDS)}"
        top.error(f"there is no command {name!r}; {hint}")
    return command_parser(f"ocrserve {name}", name), rest


def command_parser(prog: str, name: str) -> Parser:
    """The parser of one command, under the name that it is called by."""
    module = importlib.import_module(f"ocrserve.commands.{name}")
    parser = Parser(
        prog=prog,
        description=f"{COMMANDS[name]}.\n\n{module.DESCRIPTION.strip()}",
        epilog="examples:\n" + module.EXAMPLES.rstrip().replace("{prog}", prog),
    )
    module.add_arguments(parser)
    parser.add_argument(
        "--debug", action="store_true", help="show where an error comes from (a traceback)"
    )
    parser.set_defaults(run=module.run, usage_error=parser.error)
    return parser


def _guarded(choose: Callable[[], tuple[Parser, list[str]]]) -> int:
    """Parses and runs a command; turns expected errors into messages and exit codes."""
    prog, debug = "ocrserve", False
    try:
        parser, words = choose()
        prog = parser.prog
        parser.check_options(words)
        arguments, unknown = parser.parse_known_args(words)
        if unknown:
            parser.refuse_unknown(unknown)
        debug = arguments.debug
        return int(arguments.run(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILURE
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (as `head` does); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (OcrError, OSError) as error:
        if debug:
            raise
        print(f"{prog}: {describe(error)}", file=sys.stderr)
        return FAILURE


def describe(error: Exception) -> str:
    """An error in words for people."""
    if isinstance(error, OSError) and not isinstance(error, OcrError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    return str(error).strip() or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
