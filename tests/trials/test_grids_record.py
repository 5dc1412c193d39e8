"""The registered design of the record of grids: what it has to have so that its question can be answered."""

from pathlib import Path

import pytest

from netgain.methods.baselines import Frozen, Majority
from netgain.methods.few_shot_training import (
    BestSettings,
    FewShotTraining,
    FixedSettings,
    LabelledSettings,
    OracleSettings,
    RandomSettings,
)
from netgain.methods.seal import Seal, SealSettings
from netgain.methods.settings_search import SearchSettings, SettingsSearch
from netgain.methods.synthetic import Synthetic
from netgain.trials import resolved_arm
from netgain.trials.resolve import Trial, resolve

FILE = Path(__file__).parents[2] / "examples" / "grids-record.yaml"


def trial(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> Trial:
    monkeypatch.setattr(resolved_arm, "find_spec", lambda name: object() if installed else None)
    return resolve(FILE)


def test_it_has_forty_held_out_tasks_under_seeds_that_nobody_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = trial(monkeypatch, installed=False)
    spec = asked.spec
    assert spec.seeds >= 3
    assert spec.seed > 0
    (domain,) = asked.domains.values()
    problems = domain.problems("test", spec.problems.test, spec.seed)
    assert sum(problem.questions[0].kind == spec.compare.exam for problem in problems) == 40


def test_every_rival_control_and_bound_is_there_and_trains_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = trial(monkeypatch, installed=False).arms
    wanted = {
        Frozen,
        Majority,
        FewShotTraining,
        RandomSettings,
        SettingsSearch,
        BestSettings,
        Synthetic,
        Seal,
        OracleSettings,
    }
    assert {arm.method for arm in arms.values()} == wanted
    selected = {arm.settings.select for arm in arms.values() if isinstance(arm.settings, SealSettings)}
    assert selected == {"reward", "random"}
    trained = [arm.settings for arm in arms.values() if hasattr(arm.settings, "rank")]
    assert len({(one.rank, one.alpha, one.batch_size, one.target_modules) for one in trained}) == 1


def test_the_bound_may_choose_what_every_fixed_arm_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be no bound of theirs."""
    arms = [arm.settings for arm in trial(monkeypatch, installed=False).arms.values()]
    (bound,) = (one for one in arms if isinstance(one, LabelledSettings))
    fixed = [one for one in arms if isinstance(one, FixedSettings)]
    assert len(fixed) == 2
    for one in fixed:
        assert one.tools in bound.tool_sets
        assert one.learning_rate in bound.rates
        assert one.loss in bound.losses
        assert one.max_epochs in bound.epochs


def test_an_arm_that_needs_an_extra_is_left_out_with_a_line_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = trial(monkeypatch, installed=False)
    assert "optuna" not in without.arms
    assert without.notes == (
        "arm 'optuna' is left out: it needs optuna, which is not here: pip install 'netgain[optuna]'",
    )
    pytest.importorskip("optuna")
    there = trial(monkeypatch, installed=True)
    assert there.notes == ()
    assert isinstance(there.arms["optuna"].settings, SearchSettings)
    assert there.arms["optuna"].settings.sampler == "tpe"
