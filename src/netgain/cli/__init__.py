"""The command line: parse, call, print. One file for each group of commands; here they are named and listed."""

import errno
import sys
from io import TextIOWrapper

import typer
from typer.exceptions import TyperException

from netgain.cli.app import app, complain
from netgain.cli.ask_command import ask
from netgain.cli.audit_command import AuditCommand, audit
from netgain.cli.board_command import board
from netgain.cli.doctor_command import doctor
from netgain.cli.record_commands import export, pack, report, status, verify
from netgain.cli.setup_commands import init, list_names, validate
from netgain.cli.trial_commands import plan, register, run
from netgain.errors import NetgainError

INTERRUPTED = 130
NAMED_WRONGLY = (errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EROFS)

# In the order in which --help lists them.
app.command(cls=AuditCommand)(audit)
for command in (init, validate, ask, plan, register, run, status, report, board, export, pack, verify):
    app.command()(command)
app.command("list")(list_names)
app.command()(doctor)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends in one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
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


def _fail(message: str, code: int) -> None:
    complain(message)
    sys.exit(code)
