"""The upper bound by the exam's own labels: it alone is given them, pays for its search, and is nobody's rival."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.domains.problem import Material, Problem
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.isolation.served_desk import OF_ITS_OWN
from netgain.isolation.user_method import find_arm_method
from netgain.methods.few_shot_training import FewShotTraining, OracleSettings
from netgain.methods.method import Desk, Learned, Method
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.samples import Adaptation, read_rows
from netgain.report.page import render
from netgain.strict_yaml import SourceLines
from netgain.trials.kept import KeptRun
from netgain.trials.recheck import recheck
from netgain.trials.resolve import Trial, resolve_spec
from netgain.trials.schedule import run_trial
from netgain.trials.spec import TrialSpec
from netgain.trials.store import SAMPLES
from netgain.trials.tasks import Task, budget
from netgain.trials.trial_claim import claim_of, guess_role
from tests.trials import letters

GIVEN: list[tuple[str, tuple[Problem, ...]]] = []


@final
class Peeking(Method):
    """Trains on nothing, and notes what of the exam it was given."""

    role: ClassVar[Role] = Role.PASSAGE

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        GIVEN.append((materials[0].id, desk.exam))
        yield from ()
        return Answerer(model=desk.model)


METHODS = {**letters.METHODS, "oracle-settings": OracleSettings, "fixed": FewShotTraining, "peeking": Peeking}


def trial(**changes: Any) -> Trial:
    fields: dict[str, Any] = {
        "name": "letters",
        "domains": {"letters": {"kind": "letters"}},
        "problems": {"train": 0, "development": 2, "test": 3},
        "seeds": 3,
        "budget": {"per_problem": 2, "ladder": [1]},
        "tuning": {"trials": 0},
        "arms": {
            "frozen": {"method": "frozen"},
            "peeking": {"method": "peeking"},
            "fixed": {"method": "fixed", "tools": []},
            "bound": {"method": "oracle-settings", "rates": [1.0e-3], "label": "settings by the labels"},
        },
        "compare": {"arm": "fixed", "exam": "held-out"},
        "exam": {"controls": 0, "drift": 0},
    }
    spec = TrialSpec.model_validate(fields | changes)
    return resolve_spec(spec, SourceLines("trial"), lambda name, folder=None: METHODS[name], letters.find_domain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bound")
    assert run_trial(trial(), found, load=lambda trial, device: letters.model(), device="cpu").failed == {}
    return found


@pytest.fixture(scope="module")
def verdict(folder: Path) -> Verdict:
    asked = trial()
    roles = {asked.spec.arms[name].method: arm.method.role for name, arm in asked.arms.items()}
    return judge(claim_of(asked.spec, read_rows(folder / SAMPLES), roles))


def test_the_exams_labels_are_given_to_the_upper_bound_alone(folder: Path) -> None:
    assert len(GIVEN) == 3 * 3 + 2
    assert {exam for _, exam in GIVEN} == {()}
    assert "exam" in OF_ITS_OWN, "a process of a user's own is never told of them"
    rows = [row for row in read_rows(folder / SAMPLES) if isinstance(row, Adaptation) and row.arm == "bound"]
    assert all(row.answers[0].correct and not row.exposed for row in rows)


def test_no_file_of_ones_own_may_have_its_role(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from netgain.methods import Method, Role\n"
        "class Own(Method):\n    role = Role.ORACLE\n    def adapt(self, desk, materials, learned): ...\n"
    )
    with pytest.raises(InputError, match="upper bound"):
        find_arm_method("own.py:Own", tmp_path)


@pytest.mark.parametrize("compare", [{"arm": "bound"}, {"arm": "fixed", "against": "bound"}])
def test_no_trial_may_compare_with_it(compare: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"compare\.(arm|against) = 'bound'.*no verdict is on an upper bound"):
        trial(compare={**compare, "exam": "held-out"})


def test_no_verdict_counts_it_as_a_rival_and_the_page_has_it_as_the_top_of_a_ladder(verdict: Verdict) -> None:
    primary = next(row for row in verdict.decomposition if row.arm == "letters/fixed@1" and row.currency == "flops")
    assert primary.worst_case is not None
    assert [row.rival for row in primary.worst_case.all] == ["letters/peeking@1"]
    assert "letters/bound@1" not in {row.arm for row in verdict.regimes}
    assert [row.arm for row in verdict.bounds] == [
        f"letters/{name}@1" for name in ("frozen", "peeking", "fixed", "bound")
    ]
    assert {row.bound for row in verdict.bounds} == {"letters/bound@1"}
    frozen, _, fixed, bound = verdict.bounds
    assert (frozen.over, bound.below) == (None, None)
    assert (frozen.below and frozen.below.value, fixed.below and fixed.below.value) == (1.0, 0.0)
    page = render(verdict)
    assert "How far it is to the upper bound" in page
    assert "chosen by the exam&#39;s own labels" in page


def test_its_search_is_charged_and_is_no_spending_above_its_budget(folder: Path, verdict: Verdict) -> None:
    """Two candidates and their answers are three budgets; the first is right, so that one is taken."""
    asked = trial()
    assert budget(asked, Task("run", "letters", "bound", 0)) == {"adapt": 3 * 3 * 2.0}
    assert budget(asked, Task("run", "letters", "fixed", 0)) == {"adapt": 3 * 2.0}
    rows = [row for row in read_rows(folder / SAMPLES) if isinstance(row, Adaptation) and row.arm == "bound"]
    assert {row.budget for row in rows} == {3 * 2.0}
    assert {tuple((purpose.value, part["flops"]) for purpose, part in row.spent.items()) for row in rows} == {
        (("adapt", 1.0), ("score", 1.0))
    }
    assert "above-budget" not in {finding.check for finding in verdict.findings}
    assert recheck(KeptRun(folder)).found == []


def test_rows_alone_tell_its_role(folder: Path) -> None:
    assert guess_role("oracle-settings") is Role.ORACLE
    assert guess_role("oracle") is Role.TEACHER
