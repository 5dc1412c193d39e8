"""Progress on the terminal: a table that is drawn anew, or a line for each unit where nobody watches."""

import sys
from typing import Any, Self, final

import typer

from netgain.cli.app import console


@final
class Live:
    """Shows the progress of a launch until it is left."""

    def __init__(self, *, quiet: bool, dollars_per_hour: float) -> None:
        self._quiet, self._rate, self._units = quiet, dollars_per_hour, -1
        self._live: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stdout.isatty():
            from rich.live import Live as Drawn

            self._live = Drawn(console=console(), refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Any) -> None:
        """Take in how far everything is."""
        from netgain.report.plan_view import progress_line, progress_page

        if self._live is not None:
            self._live.update(progress_page(progress, self._rate))
        elif not self._quiet and progress.finished != self._units:
            self._units = progress.finished
            typer.echo(progress_line(progress, self._rate))
