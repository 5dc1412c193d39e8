"""Progress on the terminal: a table that is drawn anew, or a line for each task where nobody watches."""

import sys
from pathlib import Path
from typing import Any, Self, final

import typer

from netgain.cli.app import console


@final
class Live:
    """Shows the progress of a launch until it is left."""

    def __init__(self, folder: Path, *, quiet: bool, to_stderr: bool, dollars_per_hour: float) -> None:
        self._folder, self._quiet, self._to_stderr, self._rate = folder, quiet, to_stderr, dollars_per_hour
        self._finished = -1
        self._progress: Any = None
        self._drawn: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and (sys.stderr if self._to_stderr else sys.stdout).isatty():
            from rich.live import Live as Drawn

            # It asks for the table itself, several times a second: the clock goes on while the model computes.
            self._drawn = Drawn(
                console=console(stderr=self._to_stderr), refresh_per_second=4, get_renderable=self._table
            )
            self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn is not None:
            self._drawn.stop()

    def show(self, progress: Any) -> None:
        """Take in how far everything is."""
        self._progress = progress
        if self._drawn is None and not self._quiet and progress.finished != self._finished:
            from netgain.report.plan_view import progress_line

            self._finished = progress.finished
            typer.echo(progress_line(progress, self._rate), err=self._to_stderr)

    def saved(self) -> str:
        """What is safe on the disk, in words."""
        if self._progress is None:
            return "nothing was begun"
        done, of = self._progress.finished, len(self._progress.tasks)
        return f"{done} of {of} tasks are finished and saved in {self._folder}"

    def _table(self) -> Any:
        from netgain.report.plan_view import progress_page

        return "loading the model ..." if self._progress is None else progress_page(self._progress, self._rate)
