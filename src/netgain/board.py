"""``netgain.board``: a static site of trials, audits and the library, from their records alone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import final

from netgain.api import answer_pages, judge_run
from netgain.audit.audit import audit, read_claim
from netgain.audit.library import LibraryRow, library, library_row, library_summary
from netgain.errors import InputError
from netgain.records.claim import Claim
from netgain.report.answers_view import FOLDER
from netgain.report.board_view import BoardRow, Kind, board_page, claim_row, trial_rows
from netgain.report.library_view import library_page
from netgain.report.page import render
from netgain.report.site import folder_name, require_own, write_site
from netgain.trials.kept import KeptRun
from netgain.trials.store import LOCK

FRONT, UP = "index.html", "../../index.html"
PAGE = "report.html"


@final
class _Board:
    """The site as it is made: its files, the rows of its front page, the names that are taken."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.files: dict[str, str] = {}
        self.rows: list[BoardRow] = []
        self.taken: set[str] = set()

    def add_trial(self, run: KeptRun) -> None:
        verdict = judge_run(run)
        place = folder_name("trials", run.folder.resolve().name or verdict.claim, self.taken)
        pages = answer_pages(run, verdict) if self.answers else None
        self.files[f"{place}/{PAGE}"] = render(verdict, UP, pages.examples() if pages else None)
        if pages:
            self.files |= {f"{place}/{FOLDER}/{name}": text for name, text in pages.render().items()}
        self.rows += trial_rows(verdict, f"{place}/{PAGE}")

    def add_claim(self, claim: Claim, kind: Kind = "audit", folder: str = "audits") -> LibraryRow:
        verdict = audit(claim)
        row = library_row(claim, verdict)
        place = folder_name(folder, claim.name, self.taken)
        self.files[f"{place}/{PAGE}"] = render(verdict, UP)
        self.rows.append(claim_row(kind, verdict, row, f"{place}/{PAGE}"))
        return row

    def add_library(self) -> None:
        rows = [self.add_claim(claim, "library", "library") for claim in library()]
        self.files["library/index.html"] = library_page(rows, library_summary(rows), "../index.html")


def board(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    with_library: bool = True,
    answers: bool = True,
    show: Callable[[str], None] = lambda line: None,
) -> list[BoardRow]:
    """Write a static site of these trials and audits, and of the library, to the folder ``out``; the rows of its table.

    Each source is the folder of a run or a packed record, a folder of such folders, or anything that can be audited: a
    folder of results, a claim card, a claim. In a folder of runs those without results are left out, and ``show`` is
    told so. With ``answers`` every trial has its pages of single answers. Raises InputError for the first source that
    cannot be read, and where ``out`` holds anything else; nothing is written then.
    """
    folder, made = Path(out), _Board(answers=answers)
    if not sources and not with_library:
        raise InputError("netgain board", "there is nothing to show", "name folders, or leave --no-library out")
    require_own(folder)
    for source in sources:
        for one in _runs_in(Path(source), show):
            if isinstance(one, KeptRun):
                made.add_trial(one)
            else:
                made.add_claim(one)
    if with_library:
        made.add_library()
    made.files[FRONT] = board_page(made.rows, library=with_library)
    write_site(folder, made.files)
    return made.rows


def _runs_in(source: Path, show: Callable[[str], None]) -> Iterator[KeptRun | Claim]:
    """The run in a folder, the runs in a folder of runs, else the claim that stands there."""
    try:
        if (source / LOCK).is_file():
            yield KeptRun(source)
            return
        inside = sorted(path.parent for path in source.glob(f"*/{LOCK}"))
    except OSError as error:
        raise InputError(str(source), f"cannot be looked at: {error.strerror}") from None
    if not inside:
        yield read_claim(source)
        return
    runs = [KeptRun(folder) for folder in inside]
    done = [run for run in runs if run.samples.is_file()]
    if not done:
        raise InputError(str(source), f"holds {len(runs)} runs, none of which has results yet", "run one to its end")
    for run in runs:
        if run not in done:
            show(f"{run.folder}: left out, it has no results yet")
    yield from done
