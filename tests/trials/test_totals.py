"""The compute card holds all that a trial took: its totals are the fold over every journal, whatever was cut off."""

from collections import Counter
from pathlib import Path

import pytest

from netgain.analysis.verdict import Verdict
from netgain.api import judge_folder, pack
from netgain.metering.verification import verify
from netgain.records.cost import CURRENCIES, Currency
from netgain.report.page import render
from netgain.trials.context import CLOCKS, amounts
from netgain.trials.progress import status_of
from netgain.trials.store import SAMPLES
from tests.trials import world
from tests.trials.test_schedule import Killed, dying

SPEC = world.spec(seeds=1, exam={"controls": 1, "drift": 2, "stream": 2})
COUNTED = [name for name in CURRENCIES if Currency(name) not in CLOCKS]


def of_journals(folder: Path) -> dict[str, float]:
    """What every journal of a run adds up to."""
    charges = [charge for path in folder.rglob("journal") for charge in verify(path).charges]
    return amounts(charges, Currency.FLOPS)


def of_card(verdict: Verdict) -> dict[str, float]:
    sums = Counter[str]()
    for row in verdict.card:
        assert not {name for name in row.incomplete if name in COUNTED}
        sums.update({name: row.total.get(name, 0.0) for name in COUNTED})
    return {name: sums[name] for name in COUNTED}


def killed(folder: Path, *after: int) -> None:
    for calls in after:
        with pytest.raises(Killed):
            world.run(folder, SPEC, load=dying(calls))


@pytest.mark.parametrize("after", [(), (40, 90)], ids=["unbroken", "killed twice"])
def test_the_card_of_a_trial_is_the_fold_over_all_of_its_journals(tmp_path: Path, after: tuple[int, ...]) -> None:
    killed(tmp_path / "run", *after)
    world.run(tmp_path / "run", SPEC)
    verdict = judge_folder(tmp_path / "run")
    assert verdict.doubts == ()
    assert of_card(verdict) == pytest.approx(of_journals(tmp_path / "run"))
    lost = sum(row.spent["cut off"]["flops"] for row in verdict.card)
    assert (lost > 0) is bool(after)
    assert sum(row.spent["other"]["flops"] for row in verdict.card) > 0  # the account of drift
    assert "Cut off: attempts that did not end" in render(verdict)
    assert judge_folder(pack(tmp_path / "run", tmp_path / "kept")) == verdict


def test_the_card_of_an_unfinished_trial_holds_what_its_open_tasks_took(tmp_path: Path) -> None:
    killed(tmp_path, 60, 40)
    status = status_of(tmp_path)
    assert status.cut_off
    assert status.waiting
    assert status.spent == pytest.approx(of_journals(tmp_path)["flops"])
    assert 0 < status.lost < status.spent
    rows = [path.read_text() for path in sorted(tmp_path.glob("units/*/rows.jsonl"))]
    (tmp_path / SAMPLES).write_text("".join(rows))
    verdict = judge_folder(tmp_path)
    assert verdict.doubts == ()
    assert of_card(verdict) == pytest.approx(of_journals(tmp_path))
    assert any(row.label.endswith("(not finished)") for row in verdict.card)
