"""LLaMA-Factory's ``trainer_log.jsonl``. Every rank writes it: with two, every row stands there twice."""

import re
from functools import partial
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, number, visible, words
from netgain.audit.runs.logged import Logged
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.records.claim import Claim
from netgain.tokens import TokenCounter

LOG = "trainer_log.jsonl"
_TIME = re.compile(r"^(?:(?P<days>\d{1,5}) days?, )?(?P<hours>\d{1,4}):(?P<minutes>\d\d):(?P<seconds>\d\d)$")


@final
class LlamaFactoryReader(Reader):
    """LLaMA-Factory: trainer_log.jsonl."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether such a log lies below the folder."""
        return bool(visible(folder, LOG))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these runs: one for each log."""
        files = Lenient(folder)
        paths = files.paths(LOG)
        names = distinct([f"{folder.resolve().name}/{files.name(path)}" for path in paths], skip=1)
        runs = [
            run
            for path, name in zip(paths, names, strict=True)
            if (run := files.guarded(path, partial(_run, files, path, name)))
        ]
        files.require(runs, "no log of LLaMA-Factory in it", "no log")
        return claim_of_runs(folder.resolve().name, "Training runs of LLaMA-Factory", runs, findings=files.findings)


def _run(files: Lenient, path: Path, name: str) -> RunRecord | None:
    written = list(files.lines(path))
    rows: dict[str, dict[str, Any]] = {}
    for row in written:
        rows.setdefault(f"{row.get('current_steps')} {row.get('loss')} {row.get('eval_loss')}", row)
    if not rows:
        files.refuse(path, "holds no row")
        return None
    logged = [row | {"elapsed_seconds": _seconds(row.get("elapsed_time"))} for row in rows.values()]
    run = Logged(name, files.name(path), {}, logged).record()
    times = len(written) / len(rows)
    if times > 1:
        run.say(
            "rows-repeated", f"every row stands there {times:.2g} times, as when so many ranks write; each counts once"
        )
    spent = [row["elapsed_seconds"] for row in logged if row["elapsed_seconds"] is not None]
    if spent:
        told = f"it took {max(spent):,.0f} s, on how many devices is not stated: device time unknown"
        run.say("ranks-unknown", told)
    planned = number(logged[-1].get("total_steps"))
    if planned and run.updates is not None and run.updates < planned:
        run.say(
            "run-unfinished", f"{run.updates:,.0f} of {planned:,.0f} planned steps are in its log", severity="medium"
        )
    return run


def _seconds(value: object) -> float | None:
    """``1 day, 0:08:23`` in seconds."""
    found = _TIME.match(words(value))
    if not found:
        return None
    days, hours, minutes, seconds = (int(found[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
