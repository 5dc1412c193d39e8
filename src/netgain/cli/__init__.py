"""The command line: parse, call, print. One file for each group of commands; here they are named and listed."""

import contextlib
import errno
import os
import signal
import sys
import threading
from io import TextIOWrapper

import typer
from typer.exceptions import TyperException

from netgain.cli.app import INTERRUPTED, TERMINATED, app, complain
from netgain.cli.ask_command import ask
from netgain.cli.audit_command import AuditCommand, audit
from netgain.cli.doctor_command import doctor
from netgain.cli.record_commands import board, export, pack, report, status, unpack, verify
from netgain.cli.setup_commands import init, list_names, validate
from netgain.cli.trial_commands import plan, register, run
from netgain.errors import NetgainError, Terminated

NAMED_WRONGLY = (errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EROFS)

# In the order in which --help lists them.
app.command(cls=AuditCommand)(audit)
for command in (init, validate, ask, plan, register, run, status, report, board, export, pack, unpack, verify):
    app.command()(command)
app.command("list")(list_names)
app.command()(doctor)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends in one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _listen()
    try:
        _run(arguments)
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _run(arguments: list[str] | None) -> None:
    try:
        code = app(args=sys.argv[1:] if arguments is None else arguments, standalone_mode=False)
    except NetgainError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:  # a name that is too long, a folder without rights, wherever it was given
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 2 if error.errno in NAMED_WRONGLY else 1)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", INTERRUPTED)
    except Terminated:
        _fail("terminated", TERMINATED)
    except SystemExit as left:
        if left.code:
            raise
        _fail("something that it was given ended it in the middle (SystemExit); nothing more was done", 1)
    except TyperException as error:
        # The usage errors carry their option and the nearest valid word in a method that their public base lacks.
        message = getattr(error, "format_message", error.__str__)()
        context = getattr(error, "ctx", None)
        command = "netgain" if context is None or context.parent is None else f"netgain {context.info_name}"
        _fail(f"{message} ({command} --help lists what is valid)", 2)
    else:
        if code == INTERRUPTED:  # Typer turns Ctrl-C into this code, without a word
            _fail("interrupted", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _listen() -> None:
    """SIGTERM ends the work in order; so does the first Ctrl-C, and a second one leaves at once."""
    if threading.current_thread() is not threading.main_thread():
        return
    pressed = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            with contextlib.suppress(OSError):
                os.write(2, b"netgain: interrupted again: left at once\n")
            os._exit(INTERRUPTED)  # workers end with their parent
        pressed = True
        raise KeyboardInterrupt

    def terminate(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending already
        raise Terminated

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, behind nohup say
        signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, terminate)


def _fail(message: str, code: int) -> None:
    complain(message)
    sys.exit(code)
