"""Trials in Python: ``netgain.plan``, ``netgain.run`` and judging a run's folder; the command line does the same.

::

    result = netgain.run("trial.yaml", options=["seeds=1"])
    print(result.verdict.headline.sentence)
"""

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.errors import InputError, NetgainError
from netgain.extensions import said_by
from netgain.metering.verification import Verification
from netgain.records.identity import equal_but_for_rounding
from netgain.records.provenance import RunSetup
from netgain.report.answers_view import FOLDER, AnswerPages
from netgain.report.exports import Table, to_frame
from netgain.report.page import render
from netgain.report.site import with_manifest, write_site
from netgain.report.trackers import following
from netgain.trials.calibration import calibrate
from netgain.trials.disk import recording
from netgain.trials.kept import VERDICT, KeptRun, pack_run, require_finished
from netgain.trials.outcome import Outcome, not_verified
from netgain.trials.plan import Plan, make_plan, suited
from netgain.trials.progress import Progress
from netgain.trials.recheck import RunCheck, recheck
from netgain.trials.reproduction import Reproduction
from netgain.trials.resolve import resolve, with_data
from netgain.trials.run_setup import read_exam
from netgain.trials.schedule import register_trial, run_trial
from netgain.trials.shards import Shard
from netgain.trials.store import SAMPLES, write
from netgain.trials.trial_claim import claim_of

PAGE = "report.html"
Source = Path | str | Mapping[str, Any] | None


@final
@dataclass(frozen=True)
class Run:
    """A trial that was run: the ``folder`` with its records, and by name why tasks ``failed`` (mostly none).

    ``reproduction`` is that of a run that was done ``again``.
    """

    folder: Path
    failed: Mapping[str, str] = field(default_factory=dict)
    reproduction: Reproduction | None = field(default=None, repr=False)

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict from the records, written beside them with its page. Raises InputError without any record."""
        return judge_folder(self.folder)

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """Of a run that was done again, in lines, what differs from its record: beforehand (versions, hardware), and
        whether verdict, answers and ledger are the same. Empty for any other run."""
        if self.reproduction is None:
            return ()
        _ = self.verdict  # which writes what is compared
        self.reproduction.compare(self.folder)
        return tuple(self.reproduction.lines)

    def to_frame(self, table: Table = "arms") -> Any:
        """``arms``, ``comparisons``, ``grades`` or every one of the ``answers`` as a pandas data frame, a row each.

        Raises InputError for another table, and where pandas is not installed.
        """
        if table != "answers":
            return to_frame(self.verdict, table)
        run = KeptRun(self.folder)
        spec, _ = run.store.asked()
        return to_frame(self.verdict, table, Outcome.of(spec, run.rows), read_exam(self.folder, spec))


def plan(
    trial: Source = None,
    *,
    methods: Sequence[str] = (),
    options: Sequence[str] = (),
    limit: int | None = None,
    device: str | None = None,
    dollars_per_hour: float | None = None,
) -> Plan:
    """What a trial would take in every currency, and what it could see. Nothing is spent, and no weights are needed.

    ``trial`` is a YAML file, a mapping of its fields, or None for the demo. ``methods`` (``file.py:Class``),
    ``options`` (``a.b=value``, for a file) and ``limit`` change it as on the command line. Raises InputError with the
    line of whatever is wrong.
    """
    return make_plan(resolve(trial, methods, options, limit), device, dollars_per_hour, calibrate=calibrate)


def register(
    trial: Source = None,
    *,
    out: Path | str | None = None,
    methods: Sequence[str] = (),
    options: Sequence[str] = (),
    limit: int | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
) -> dict[str, str]:
    """Write down a trial before any of it runs, in the folder where it will run: ``at`` (ISO, UTC) and ``hash``.

    What is written there is the resolved trial with its comparison, its root seed and the digests of model, data and
    problems; a run in that folder of anything else is refused. ``trust_remote_code`` lets models run code that they
    bring. Raises InputError where the trial was begun there.
    """
    resolved = with_data(resolve(trial, methods, options, limit, trust_remote_code=trust_remote_code))
    folder = Path(out) if out is not None else default_folder(resolved.spec.name, resolved.spec.limited_to)
    return register_trial(resolved, folder, device=device)


def run(
    trial: Source = None,
    *,
    out: Path | str | None = None,
    methods: Sequence[str] = (),
    options: Sequence[str] = (),
    limit: int | None = None,
    device: str = "auto",
    jobs: int | None = None,
    ray: str | None = None,
    trust_remote_code: bool = False,
    show: Callable[[Progress], None] = lambda progress: None,
    wait: Callable[[str], None] | None = None,
    shard: str | None = None,
    again: Path | str | None = None,
    base: Path | str | None = None,
    report_to: Sequence[str] = (),
) -> Run:
    """Run a trial at equal compute, or go on with it; see :func:`plan` for what may be given.

    Records go to ``out`` (``runs/NAME``). ``jobs`` processes work side by side: one a core unless stated, one on a GPU;
    with more than one a script needs its ``if __name__ == "__main__":``. ``ray`` is the address of a cluster to work
    on, or ``local`` (docs/trials.md). ``trust_remote_code`` lets the trial's models run code that they bring. ``show``
    is given the progress as it changes. ``shard`` (``2/4``) does a part of the trial, and a run without it the rest.
    ``again`` (a run's folder or a packed record) does that run once more, in ``runs/NAME-again``, with paths relative
    to ``base`` (here); what differs is in :attr:`Run.compared`.
    ``report_to`` (``trackio``, ``wandb``, ``mlflow``, ``tensorboard``) gets curves while it runs, and none is told
    anything by default; one that fails is a warning.
    Raises InputError where the trial is wrong, another one was begun in that folder, or another process is at work
    there (with ``wait``, which is told who, it is waited for), and where a run cannot be done again here.
    """
    if again is None and base is not None:
        raise InputError("base", "belongs to again", "in a trial's file paths are relative to the file")
    if again is not None and (trial is not None or methods or options or limit is not None):
        raise InputError("again", "asks what that run asked, and nothing else may be asked beside it", "give one")
    reproduction = None if again is None else Reproduction(Path(again), Path(base or "."))
    if reproduction is None:
        resolved = with_data(resolve(trial, methods, options, limit, trust_remote_code=trust_remote_code))
    else:
        resolved = reproduction.trial(trust_remote_code=trust_remote_code)
    usual = default_folder(resolved.spec.name, resolved.spec.limited_to, again=reproduction is not None)
    folder = usual if out is None else Path(out)
    how: dict[str, Any] = {"shard": None if shard is None else Shard.of(shard), "wait": wait, "ray": ray}
    if reproduction is not None:
        reproduction.begin(folder, device)
        how["before"] = reproduction.require_same
    workers = suited(resolved, device, jobs)[0] if ray is None else jobs
    with following(folder, report_to, partial(warnings.warn, stacklevel=1)) as tracked:

        def told(progress: Progress) -> None:
            tracked.take(progress)
            show(progress)

        result = run_trial(resolved, folder, device=device, jobs=workers, show=told, **how)
    return Run(result.folder, result.failed, reproduction)


def default_folder(name: str, limited_to: int | None, *, again: bool = False) -> Path:
    """Where the records of a trial go if nobody says where; those of a limited one not among the whole one's, and of
    one that is done ``again`` not among the first's."""
    limited = "" if limited_to is None else f"-limit-{limited_to}"
    return Path("runs") / f"{name}{limited}{'-again' if again else ''}"


def judge_folder(folder: Path, *, answers: bool = True) -> Verdict:
    """The verdict on a run, from its records alone; ``verdict.json`` and ``report.html`` are written beside them, and
    with ``answers`` a folder of pages with every answer.

    The records are checked first: where the verdict does not follow from what was done, it has the finding
    ``not-verified``, and the page says so above everything else. The folder is a run's, or a packed record. Raises
    InputError where it holds neither.
    """
    run = KeptRun(folder)
    if folder.is_dir() and not os.access(folder, os.W_OK):
        raise InputError(str(folder), "cannot be written, and its verdict and page go there", "report a copy of it")
    verdict = judge_run(run)
    with recording(folder, "its records are as they were: mend it, or report a copy of it"):
        write(folder / VERDICT, _text_of(verdict))
        pages = answer_pages(run, verdict)
        write(folder / PAGE, render(verdict, examples=pages.examples()))
        if answers:
            write_site(folder / FOLDER, pages.render())
    return verdict


def judge_run(run: KeptRun) -> Verdict:
    """The verdict on kept records, which are checked first; nothing is written."""
    return judged(run, recheck(run).doubts)


def _text_of(verdict: Verdict) -> str:
    return verdict.model_dump_json(by_alias=True, indent=2) + "\n"


def answer_pages(run: KeptRun, verdict: Verdict) -> AnswerPages:
    """The pages of every answer in kept records."""
    spec, _ = run.store.asked()
    return AnswerPages(Outcome.of(spec, run.rows), verdict, read_exam(run.folder, spec))


def judged(run: KeptRun, doubts: Sequence[str] = ()) -> Verdict:
    """The verdict on kept records, with what is wrong with them; nothing is written. Raises InputError without any."""
    if not run.samples.is_file():
        remedy = (
            "give the folder of a run, or a packed record; a run in shards is judged by netgain run without --shard"
        )
        raise InputError(str(run.folder), f"holds no {SAMPLES}", remedy)
    spec, roles = run.store.asked()
    try:
        setup = (run.store.setup() or RunSetup()).model_copy(update={"history": run.history()})
        claim = claim_of(spec, run.rows, roles, setup=setup, beyond=run.beyond_rows())
        found = (*not_verified(doubts), *claim.findings)
        return judge(claim.model_copy(update={"findings": found}), seed=spec.seed)
    except NetgainError:
        raise
    except Exception as problem:
        if not doubts:  # the records are those that were written: the fault is ours
            raise
        what = f"its records contradict each other ({said_by(problem)}): {doubts[0]}"
        raise InputError(str(run.folder), what, "`netgain verify` says what else was changed") from problem


def pack(folder: Path | str, out: Path | str, *, unfinished: bool = False) -> Path:
    """Write the records of a finished run to ``out``, small enough for a repository, journals and verdict included;
    the run's folder stays as it is. With ``unfinished`` also of one that was stopped, which gets its ``samples.jsonl``.

    Raises InputError where a task is not finished, something does not verify, or another trial is registered there.
    """
    run = KeptRun(Path(folder))
    require_finished(run, unfinished=unfinished)
    if unfinished:
        run.assemble()
    checked = recheck(run)
    verdict = judged(run, checked.doubts)
    require_verified(verdict, run.folder)
    if checked.unfinished and not unfinished:
        remedy = "run it again, or keep what there is with --unfinished"
        raise InputError(str(run.folder), checked.unfinished[0], remedy)
    return pack_run(run, Path(out), _text_of(verdict))


def require_verified(verdict: Verdict, folder: Path) -> None:
    """Raise InputError where a verdict does not follow from its records: it is not handed on."""
    if doubts := verdict.doubts:
        raise InputError(str(folder), f"does not verify: {doubts[0]}", "keep the folder as evidence")


def verify_run(folder: Path | str, show: Callable[[Verification], None] = lambda found: None) -> list[str]:
    """Derive everything in a run's folder or a packed record again: hashes, totals, budgets, the amounts of every row,
    the verdict and the page. What is wrong, in words; empty where all agree. ``show`` is given each journal's result.

    Raises InputError where the folder holds no run.
    """
    return check_run(folder, show)[0].found


def check_run(folder: Path | str, show: Callable[[Verification], None] = lambda found: None) -> tuple[RunCheck, str]:
    """The same with how far the records tell, and the root: one hash over all of them."""
    run = KeptRun(Path(folder))
    checked = recheck(run, show)
    wrong, page = list(checked.wrong), run.folder / PAGE
    try:
        verdicts = [judged(run, checked.doubts)]
        written = (run.folder / VERDICT).read_text(encoding="utf-8")
        if not checked.journals:  # where the report was not made again since they were taken away
            verdicts.append(judged(run, checked.wrong))
            card = Verdict.model_validate_json(written).card  # the journals alone tell it
            verdicts += [verdict.model_copy(update={"card": card}) for verdict in verdicts]
        if not any(_is_written(written, verdict) for verdict in verdicts):
            wrong.append(f"{VERDICT}: is not the verdict that the records give")
        pages = [answer_pages(run, verdict) for verdict in verdicts]
        shown = (render(one.verdict, examples=one.examples()).encode() for one in pages)
        if page.is_file() and page.read_bytes() not in shown:
            wrong.append(f"{PAGE}: is not the page of the verdict that the records give")
        wrong += _answers_that_differ(run, pages)
    except Exception as problem:  # records that were edited may be anything
        wrong.append(f"{VERDICT}: cannot be judged again ({said_by(problem)})")
    return replace(checked, wrong=tuple(wrong)), checked.root(run.content(VERDICT))


def _answers_that_differ(run: KeptRun, given: Sequence[AnswerPages]) -> list[str]:
    """The pages of answers that are not those of the records, for none of these verdicts."""
    folder = run.folder / FOLDER
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if not there:
        return []
    differing: list[str] = []
    for pages in given:
        files = with_manifest(pages.render())
        same = {name for name in files.keys() & there.keys() if there[name].read_bytes() == files[name].encode()}
        differing = sorted((files.keys() | there.keys()) - same)
        if not differing:
            return []
    more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
    return [f"{FOLDER}/{differing[0]}{more}: is not the page that the records give"]


def _is_written(text: str, verdict: Verdict) -> bool:
    """Whether a file's text is this verdict: as a verdict, since one written before a field was there lacks it."""
    try:
        written = Verdict.model_validate_json(text)
    except ValidationError:
        return False
    kept, now = (json.loads(one.model_dump_json(by_alias=True)) for one in (written, verdict))
    return equal_but_for_rounding(kept, now, near_zero=1e-12)
