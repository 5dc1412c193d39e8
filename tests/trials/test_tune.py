"""Every arm tries as many settings, pays for them under tune, and keeps the best."""

from pathlib import Path

from netgain.metering.statement import load, totals
from netgain.records.outcome import Tuning
from netgain.records.samples import read_rows
from netgain.spec.load import Places
from netgain.trials.launch import launch
from netgain.trials.narrow import narrow
from netgain.trials.tune import candidates
from tests.trials import world


def test_tuning_is_equal_and_charged(tmp_path: Path) -> None:
    launch(world.plant(tmp_path))
    rows = {row.arm: row for row in read_rows(tmp_path / "samples.jsonl") if isinstance(row, Tuning)}
    assert {arm: len(row.attempts) for arm, row in rows.items()} == {"frozen": 0, "passage": 2, "edits": 2}
    for arm, row in rows.items():
        journal = tmp_path / "units" / f"tune-towns-{arm}" / "journal"
        assert {purpose for (purpose,) in totals(load(journal), "purpose")} == {"tune"}
        assert set(row.spent) == {"tune"}
    # two tries at rung 1 and the chosen one at rung 2 (what edits invest, passage spends): 4 + 4 + 8 calls a problem
    # and two questions each time; edits are compared at rung 1, where the chosen try stands already
    assert rows["passage"].spent["tune"]["flops"] == 2 * (4 + 4 + 8 + 3 * 2)  # type: ignore[index]
    assert rows["edits"].spent["tune"]["flops"] == 2 * (4 + 4 + 2 * 2)  # type: ignore[index]
    assert rows["passage"].development == 1.0
    assert rows["frozen"].development == 0.0


def test_the_first_candidate_is_the_settings_as_given_and_none_comes_twice() -> None:
    trial = narrow(world.spec(tuning={"trials": 10}), Places("t"), world.find_method, world.find_domain)
    drawn = candidates(trial.spec, "towns", trial.arms["passage"])
    assert drawn[0] == {"steps": 1}
    assert sorted(one["steps"] for one in drawn) == [1, 2, 3, 4]
    assert drawn == candidates(trial.spec, "towns", trial.arms["passage"])
    assert candidates(trial.spec, "towns", trial.arms["frozen"]) == []
