"""The command line: a table of commands, and what is true of all of them.

argparse and not typer: importing typer costs 45 ms, nearly half of what a scan of a small file may take in all. Each
command is a thin module with `configure(parser)` and `run(arguments)`; only the chosen one is imported, and it imports
the scanner, the terminal library and the formats when it needs them.

Every command keeps to this: results go to standard output, all else to standard error; an error that keysentry raises
on purpose is one line, never a traceback; a reader that goes away (`| head`) ends the command without a word.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn, Protocol, cast

from keysentry.__about__ import VERSION
from keysentry.advice import closest
from keysentry.cli.exit_codes import BROKEN_PIPE, INTERRUPTED, USAGE
from keysentry.cli.parser import Parser
from keysentry.errors import KeysentryError


class CommandModule(Protocol):
    """What a command's module offers."""

    configure: Callable[[Parser], None]
    run: Callable[[Namespace], int]


class Command(NamedTuple):
    """A command: the words that call it, its module, and what it does."""

    name: str
    module: str
    title: str

    def load(self) -> CommandModule:
        """Import the command."""
        return cast(CommandModule, importlib.import_module(f"keysentry.cli.{self.module}"))

    def parser(self) -> Parser:
        """The command's own parser."""
        module = self.load()
        parser = Parser(prog=f"keysentry {self.name}", description=f"{self.title[0].upper()}{self.title[1:]}.")
        module.configure(parser)
        return parser


COMMANDS: tuple[Command, ...] = (
    Command("scan", "scan", "find credentials in files, folders and standard input"),
    Command("rules list", "rules_list", "list the rules"),
    Command("rules show", "rules_show", "tell everything that is known of a rule"),
    Command("rules lint", "rules_lint", "hold rule files to what a good rule keeps to"),
    Command("rules test", "rules_test", "forge every rule's credential and prove that it is found"),
    Command("watch", "watch", "read the configured sources round the clock, or once"),
    Command("status", "status", "tell how each source is doing, and what was not read"),
    Command("incidents list", "incidents_list", "list what was found in the sources, one line a secret"),
    Command("incidents show", "incidents_show", "tell everything that is known of one incident"),
    Command("incidents export", "incidents_export", "write all incidents with all their places"),
    Command("incidents approve", "incidents_approve", "say yes to what waits for a person"),
    Command("incidents reject", "incidents_reject", "say no to what waits for a person"),
    Command("incidents retry", "incidents_retry", "try again what needed a person"),
    Command("incidents release", "incidents_release", "put back what was held"),
    Command("incidents revoke", "incidents_revoke", "kill the credential at its provider"),
    Command("incidents accept", "incidents_accept", "live with a risk for a time, or say that it is none"),
    Command("incidents close", "incidents_close", "end an incident: what was to be done is done"),
    Command("incidents reopen", "incidents_reopen", "open an incident that had ended"),
    Command("incidents evidence", "incidents_evidence", "write everything that is known of an incident to a zip"),
    Command("respond plan", "respond_plan", "tell what the playbooks would do, touching nothing"),
    Command("respond run", "respond_run", "carry out what is due now, without a daemon"),
    Command("audit verify", "audit_verify", "tell whether the audit trail is as it was written"),
    Command("audit export", "audit_export", "write the audit trail"),
    Command("store rotate-key", "store_rotate_key", "seal everything anew with the current seal key"),
    Command("report", "report", "tell how well incidents are dealt with, by week and source"),
    Command("config init", "config_init", "write a configuration to begin with"),
    Command("config lint", "config_lint", "tell every fault of a configuration"),
    Command("config show", "config_show", "tell what is in effect, and where each value comes from"),
)


def run() -> NoReturn:
    """The whole life of the process: run the command, and end at once.

    What the interpreter would do at its end (take every object apart) is left to the system, and cycles of garbage are
    looked for rarely: a scan makes trees, and is over soon.
    """
    gc.set_threshold(200_000, 50, 50)
    _import_msgspec()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, gone, or never there
            stream.flush()
    os._exit(code)


def _import_msgspec() -> None:
    """Import msgspec without `typing_extensions`, which it would take if it is there, and which costs 12 ms.

    From Python 3.11 on `typing` has all that keysentry's own types need of it. Whoever imports it later gets it.
    """
    name = "typing_extensions"
    if name in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]  # how the import system is told that there is none
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules[name]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell_warning
            code = _dispatch(arguments)
        sys.stdout.flush()
    except KeysentryError as error:
        return _say(str(error), USAGE)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except SystemExit as leaving:  # argparse: --help, or a usage error it has told
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except OSError as error:
        _silence_stdout()
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", USAGE)
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0 if arguments else USAGE
    if arguments[0] in ("-V", "--version"):
        sys.stdout.write(f"keysentry {VERSION}\n")
        return 0
    command, rest = _find(arguments)
    if command is None:
        return _no_command(arguments)
    parser = command.parser()
    return command.load().run(parser.parse(rest))


def _find(arguments: Sequence[str]) -> tuple[Command | None, list[str]]:
    for command in COMMANDS:
        words = command.name.split()
        if list(arguments[: len(words)]) == words:
            return command, list(arguments[len(words) :])
    return None, []


def _no_command(arguments: Sequence[str]) -> int:
    """Show a group's own overview (`keysentry rules`), or say that there is no such command."""
    group = arguments[0]
    inside = [command for command in COMMANDS if command.name.startswith(f"{group} ")]
    if inside and (len(arguments) == 1 or arguments[1] in ("-h", "--help")):
        sys.stdout.write(_overview(inside))
        return 0 if len(arguments) > 1 else USAGE
    if inside:
        asked = f"{group} {arguments[1]}"
        choices = [command.name for command in inside]
    else:
        asked = group
        choices = list(dict.fromkeys(command.name.split()[0] for command in COMMANDS))
    advice = closest(asked, choices) or f"choose from: {', '.join(choices)}"
    return _say(f"there is no command {asked!r} ({advice})", USAGE)


def _overview(commands: Sequence[Command] = COMMANDS) -> str:
    width = max(len(command.name) for command in commands)
    lines = [f"  {command.name:<{width}}  {command.title}" for command in commands]
    return "\n".join(
        [
            "usage: keysentry COMMAND ...",
            "",
            *lines,
            "",
            "keysentry COMMAND --help tells a command's options; keysentry --version tells the version.",
            "",
        ]
    )


def _tell_warning(message: Warning | str, *_details: object, **_more: object) -> None:
    """A warning as one line, without the place in our code that raised it."""
    _say(f"warning: {message}", 0)


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"keysentry: {text}\n")
    return code


def _silence_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere; standard output cannot be written any more."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):  # no real file behind it (a test's buffer)
        pass
