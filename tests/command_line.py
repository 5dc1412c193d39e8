"""The command line in this process: to import torch and scipy is most of what a short command takes in its own."""

import contextlib
import io
import subprocess
import warnings
from pathlib import Path

from netgain.cli import main


def netgain(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """``netgain WORDS`` in the folder ``cwd``: its exit code and what it wrote, as a process of its own gives them.

    A test of what only a process has (signals, its terminal, how fast it starts) starts one.
    """
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # pytest makes errors of them, a user's terminal does not
        try:
            main(list(words))
        except SystemExit as left:
            code = left.code
    status = code if isinstance(code, int) else 0 if code is None else 1
    return subprocess.CompletedProcess(["netgain", *words], status, out.getvalue(), err.getvalue())
