"""A script as an arm: charged against the budget, examined like every other, and no way to a free ride."""

import io
import json
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import netgain
from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.methods.script import LearningScript, LearningScriptSettings, Script, ScriptSettings
from netgain.model.program import run
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, read_rows
from netgain.report.plan_view import plan_page
from netgain.trials.context import Evaluation, RunContext, evaluate
from netgain.trials.kept import KeptRun
from netgain.trials.plan import Plan, check_before, make_plan
from netgain.trials.recheck import recheck
from netgain.trials.resolve import resolve
from netgain.trials.schedule import TrialResult
from netgain.trials.tasks import Task
from tests.model.conftest import save_model
from tests.trials import world

BEGIN = """
import json, os, sys, time
from pathlib import Path
import netgain
from netgain import Cost
task = netgain.task()

def train(text, purpose=None, flops=1.0, seconds=0.001):
    cost = Cost(flops=flops, updates=1.0, seconds=seconds)
    with task.account(purpose).reserve("train", cost) as step:
        step.settle(cost)

def save(*texts):
    fields = {"key": "mine", "sequences": [list(text.encode()) for text in texts]}
    (task.output / "scripted_adapter.json").write_text(json.dumps(fields))
"""
HONEST = """
spent = 0
try:
    while True:
        train(task.texts)
        spent += 1
except netgain.BudgetExceeded as refused:
    print(refused)
save(*task.texts)
"""


@pytest.fixture
def context(tmp_path: Path) -> Iterator[RunContext]:
    folder = tmp_path / "run" / "units" / "run-towns-edits-0"
    with Book.open(folder / "journal") as book:
        task = Task("run", "towns", "edits", 0)
        fields: dict[str, Any] = {"domain": world.Towns(), "prompts": world.PROMPTS, "model": world.model()}
        yield RunContext(spec=world.spec(), task=task, book=book, folder=tmp_path, **fields)


def write(folder: Path, text: str, begin: str = BEGIN) -> None:
    (folder / "mine.py").write_text(begin + textwrap.dedent(text), encoding="utf-8")


def settings(**more: Any) -> ScriptSettings:
    return ScriptSettings.model_validate({"command": ("python", "mine.py")} | more)


def adapted(context: RunContext, text: str, begin: str = BEGIN, **more: Any) -> Evaluation:
    """What comes of a script that adapts to one town, with a budget of eight FLOPs."""
    write(context.folder, text, begin)
    evaluation = context.evaluation(1.0, context.problems("test", 1))
    ((_, ended),) = run({"": evaluate(context, Script(settings(**more)), None, (), evaluation)})
    assert ended.value is not None
    return ended.value


def spent(context: RunContext, purpose: Purpose | None = None) -> float:
    charges = [one for one in context.book.charges() if one.purpose is not Purpose.EVALUATE]
    return sum(one.counted()["flops"] for one in charges if purpose in (None, one.purpose))


def test_a_script_is_charged_what_it_booked_and_its_adapter_sits_the_exam(context: RunContext) -> None:
    evaluation = adapted(context, HONEST)
    assert evaluation.error == ""
    assert all(mark.grade.correct for mark in evaluation.marked)
    assert spent(context) == 8  # the ninth step was refused
    own = [one for one in context.book.charges() if one.operation == "train"]
    assert len(own) == 8
    assert all(one.useful for one in own)


def test_its_seconds_beside_what_it_booked_are_shown(context: RunContext) -> None:
    adapted(context, "train(task.texts, seconds=0.0)\nsave(*task.texts)")
    (whole,) = [one for one in context.book.charges() if one.operation == "script"]
    assert (whole.cost.flops, whole.quote.flops) == (0.0, pytest.approx(8))
    assert (whole.cost.seconds or 0) > 0.05


def test_a_purpose_that_the_script_names_is_kept_and_evaluation_is_refused(context: RunContext) -> None:
    adapted(context, "train(task.texts, 'propose')\ntrain(task.texts)\nsave(*task.texts)")
    assert (spent(context, Purpose.PROPOSE), spent(context, Purpose.ADAPT)) == (1, 1)
    refused = adapted(replace(context, task=Task("run", "towns", "edits", 1)), "train(task.texts, 'evaluate')")
    assert "is the exam's alone" in refused.error


def test_the_task_holds_the_material_and_no_question_of_the_exam(context: RunContext) -> None:
    kept = context.folder / "kept.json"
    told = f"train('')\nsave('')\nPath({str(kept)!r}).write_text(Path(os.environ['NETGAIN_TASK']).read_text())"
    adapted(context, told)
    (problem,) = context.problems("test", 1)
    text = kept.read_text()
    assert problem.material.text in text
    assert not any(question.text in text or f'"{question.answers[0]}"' in text for question in problem.questions)
    fields = json.loads(text)
    assert fields["problems"] == fields["prompts"] == fields["lessons"] == []
    assert fields["budget"]["flops"] == pytest.approx(8)
    run_folder = str(context.folder / "run")
    assert run_folder not in text
    assert not fields["output"].startswith(run_folder)


def test_a_script_may_learn_once_from_training_problems_whole(context: RunContext) -> None:
    write(
        context.folder,
        """
        if task.stage == "learn":
            assert len(task.problems) == len(task.lessons) // 2 == 2 and not task.materials
            train(task.lessons)
            save(*[problem.material.text for problem in task.problems])
        else:
            train(task.texts)
            save(*task.texts)
        """,
    )
    method = LearningScript(LearningScriptSettings(command=("python", "mine.py")))
    account = context.root.child("learn x1", limit=netgain.Cost(flops=8.0))
    training = context.problems("train", 2)
    ((_, learnt),) = run({"": method.learn(context.desk(account, "learn"), training)})
    assert learnt.error is None
    assert account.spent(netgain.Currency.FLOPS) == 2  # its step, and one for adding the adapter to the weights
    evaluation = context.evaluation(1.0, context.problems("test", 1))
    ((_, ended),) = run({"": evaluate(context, method, learnt.value, (), evaluation)})
    assert ended.value is not None
    assert ended.value.error == ""
    assert all(mark.grade.correct for mark in evaluation.marked)


# -- what ends it


BAD = {
    "leaves its meter out": ("save(*task.texts)", "it charged nothing: put task.meter(model)"),
    "exits badly": ("train('')\nsave(*task.texts)\nsys.exit('no memory left')", "exit code 1: no memory left"),
    "raises": ("train('')\nraise ValueError('not a number')", "exit code 1: ValueError: not a number"),
    "is killed": ("train('')\nos.kill(os.getpid(), 9)", "it ended with exit code -9"),
    "writes nothing": ("train('')", "it wrote nothing"),
    "writes no adapter": ("train('')\n(task.output / 'scripted_adapter.json').write_text('{')", "cannot be used"),
    "hangs": ("train('')\nsave(*task.texts)\ntime.sleep(60)", "stopped after its time_limit of 1.5 seconds"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_script_that_does_not_end_as_it_should_is_a_failed_adaptation(how: str, context: RunContext) -> None:
    text, reason = BAD[how]
    evaluation = adapted(context, text, **({"time_limit": 1.5} if how == "hangs" else {}))
    assert reason in evaluation.error
    assert evaluation.marked == ()
    charges = [one for one in context.book.charges() if one.operation == "script"]
    assert (charges[0].cost.seconds or 0) > 0
    assert not any(charge.useful for charge in context.book.charges())
    expected = {"hangs": (0, 1), "leaves its meter out": (pytest.approx(8),)}  # where it was stopped is the clock's
    assert spent(context) in expected.get(how, (1,))


def test_a_step_that_was_running_when_the_script_was_stopped_is_charged_at_its_quote(context: RunContext) -> None:
    text = "task.account().reserve('train', Cost(flops=3.0))\nos.kill(os.getpid(), 9)"
    adapted(context, text)
    assert spent(context) == 3


def test_a_program_that_is_not_there_is_a_failure_too(context: RunContext) -> None:
    assert "exit code 127" in adapted(context, "", command=("no-such-program",)).error


# -- cheats


CHEATS = {
    "no meter, netgain left out": (
        "",
        """
        import json, os, pathlib
        task = json.loads(pathlib.Path(os.environ["NETGAIN_TASK"]).read_text())
        fields = {"key": "mine", "sequences": [list(text.encode()) for text in task["texts"]]}
        (pathlib.Path(task["output"]) / "scripted_adapter.json").write_text(json.dumps(fields))
        """,
        "it charged nothing",
    ),
    "work off the meter": (
        BEGIN,
        """
        end = time.process_time() + 1.0
        while time.process_time() < end:
            pass
        train(task.texts, seconds=0.01)
        save(*task.texts)
        """,
        "processor seconds beside the 0 seconds that it booked",
    ),
    "work off the meter in a process of its own": (
        BEGIN,
        """
        import subprocess
        work = "import time\\nwhile time.process_time() < 1.0: pass"
        subprocess.run([sys.executable, "-c", work], check=True)
        train(task.texts, seconds=0.01)
        save(*task.texts)
        """,
        "processor seconds beside the 0 seconds that it booked",
    ),
    "seconds that were never there": (
        BEGIN,
        "train(task.texts, seconds=1000.0)\nsave(*task.texts)",
        "it booked 1000.0 seconds and ran for",
    ),
    "a booked cost that was edited": (
        BEGIN,
        """
        for _ in range(8):
            train(task.texts)
        save(*task.texts)
        task.close()
        import sqlite3
        with sqlite3.connect(Path(os.environ["NETGAIN_TASK"]).parent / "journal") as journal:
            journal.execute("UPDATE events SET record = replace(record, 'flops\\":1', 'flops\\":0.1')")
        """,
        "its journal does not hold",
    ),
    "rows that were deleted": (
        BEGIN,
        """
        for _ in range(8):
            train(task.texts)
        save(*task.texts)
        task.close()
        import sqlite3
        with sqlite3.connect(Path(os.environ["NETGAIN_TASK"]).parent / "journal") as journal:
            journal.execute("DELETE FROM events WHERE seq > 4")
        """,
        "its journal does not hold",
    ),
    "a journal of a larger budget": (
        BEGIN,
        """
        task.close()
        path = Path(os.environ["NETGAIN_TASK"]).parent / "journal"
        path.unlink()
        with netgain.Book.open(path) as book:
            account = book.account("script", limit=Cost(flops=80.0)).under(netgain.Purpose.ADAPT)
            for _ in range(20):
                account.reserve("train", Cost(flops=1.0)).settle(Cost(flops=1.0))
        save(*task.texts)
        """,
        "written for another budget",
    ),
    "writing into the run's folder": (
        BEGIN,
        """
        train(task.texts)
        save(*task.texts)
        (Path(sys.argv[0]).parent / "run" / "units" / "run-towns-edits-0" / "rows.jsonl").write_text("{}")
        """,
        "rows.jsonl in the run's folder was written to",
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_script_that_cheats_fails_with_the_reason(cheat: str, context: RunContext) -> None:
    begin, text, reason = CHEATS[cheat]
    evaluation = adapted(context, text, begin, startup=0.9)
    assert reason in evaluation.error
    assert evaluation.marked == ()
    believed = "run's folder" in cheat
    assert spent(context) == (1 if believed else pytest.approx(8))  # else the whole budget: nobody knows what it took


def test_training_on_the_exam_is_exposed(context: RunContext) -> None:
    """A script that reads the exam's files has to train on what it read, and its meter sees the tokens."""
    (problem,) = context.problems("test", 1)
    leaked = f"Q: {problem.questions[0].text} A: {problem.questions[0].answers[0]}"
    keep = "(Path(os.environ['NETGAIN_TASK']).parent / 'seen.json').write_text(json.dumps(fields))"
    tokens = f"list({leaked!r}.encode())"
    fields = f"fields = {{'trained': [{tokens}], 'written': [], 'weights': [], 'unmetered': 0}}"
    text = "\n".join(["train('')", f"save({leaked!r})", fields, keep])
    assert len(adapted(context, text).exposed) == 1
    own = text.replace("'written': []", f"'written': [{tokens}]")
    again = replace(context, task=Task("run", "towns", "edits", 1))
    assert adapted(again, own).exposed == ()  # the model wrote it itself


TRIAL = {"seeds": 1, "budget": {"per_problem": 4, "ladder": [1]}, "tuning": {"trials": 0}, "compare": {"arm": "mine"}}
TRIAL |= {"problems": {"train": 0, "development": 1, "test": 1}, "exam": {"controls": 0, "drift": 0}}


def whole_trial(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> TrialResult:
    """A trial of a passage and a script, in this process."""
    monkeypatch.setitem(world.METHODS, "script", Script)
    write(folder, text)
    arms = {
        "frozen": {"method": "frozen"},
        "passage": {"method": "passage"},
        "mine": {"method": "script", "command": ["python", str(folder / "mine.py")]},
    }
    return world.run(folder / "run", world.spec(arms, **TRIAL))


def test_a_trial_with_a_script_is_verified_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = whole_trial(tmp_path, HONEST, monkeypatch)
    assert result.failed == {}
    rows = {row.arm: row for row in read_rows(tmp_path / "run" / "samples.jsonl") if isinstance(row, Adaptation)}
    assert rows["mine"].spent[Purpose.ADAPT]["flops"] == rows["mine"].budget == 4
    assert all(answer.correct for answer in rows["mine"].answers)
    assert recheck(KeptRun(tmp_path / "run")).found == []


def test_a_rivals_rows_that_a_script_wrote_over_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rival = tmp_path / "run" / "units" / "run-towns-passage-0" / "rows.jsonl"
    with pytest.raises(InputError, match=r"run-towns-passage-0/rows.jsonl: holds other rows than were written there"):
        whole_trial(tmp_path, f"train('')\nsave(*task.texts)\nPath({str(rival)!r}).write_text('')", monkeypatch)


# -- in a plan

EXAMPLES = Path(__file__).parents[2] / "examples"


KNOBS = """\
name: knobs
model: shipped
domains: {people: {kind: people}}
budget: {per_problem: 8.0e+9}
arms:
  frozen: {method: frozen}
  passage: {method: finetune}
  stated: {method: script, command: [python, mine.py], learning_rate: 1.0e-3}
  unstated: {method: script, command: [python, mine.py]}
  own: {method: script, command: [python, mine.py], options: {warmup: 0}, tune: {options: [{warmup: 10}]}}
compare: {arm: passage}
"""


def test_a_learning_rate_that_a_script_is_given_is_tuned_alike_and_its_options_by_itself(tmp_path: Path) -> None:
    (tmp_path / "trial.yaml").write_text(KNOBS)
    arms = resolve(tmp_path / "trial.yaml").arms
    assert arms["stated"].knobs == {"learning_rate": arms["passage"].knobs["learning_rate"]}
    assert (arms["unstated"].knobs, arms["unstated"].fixed) == ({}, ())
    assert arms["own"].knobs == {"options": ({"warmup": 10},)}


def test_a_script_is_told_its_learning_rate_and_options(context: RunContext) -> None:
    text = "assert task.options == {'warmup': 2, 'learning_rate': 0.5}, task.options\ntrain('')\nsave('')"
    assert adapted(context, text, learning_rate=0.5, options={"warmup": 2}).error == ""


@pytest.mark.parametrize("name", ["sft-script", "grpo-script"])
def test_in_a_plan_the_budget_bounds_a_script_and_the_rest_is_unknown(name: str) -> None:
    trial = resolve(EXAMPLES / name / "trial.yaml")
    plan = make_plan(trial, "H100", 3.0)
    (script,) = [arm for arm in plan.arms if arm.arm in plan.scripts]
    adapting, learning = script.costs["adapt"], script.costs.get("learn")
    assert adapting.flops == pytest.approx(script.budget["adapt"])
    assert learning is None or learning.flops == pytest.approx(script.budget["learn"])
    assert (adapting.seconds, adapting.dollars, adapting.updates, adapting.tokens_training) == (None,) * 4
    assert (script.whole.seconds, plan.whole.seconds, plan.whole.dollars) == (None, None, None)
    assert plan.hours > 0  # of the others, and of the exams
    assert plan.most_flops is not None
    told = " ".join(plan.assumptions)
    assert f"of {script.arm} the budget is the bound, and each process is stopped after 3600 s" in told
    page = plan_text(plan)
    assert f"without the scripts of {script.arm}" in page
    assert "unknown" in next(line for line in page.splitlines() if line.split()[:1] == ["all"])


def test_in_a_budget_of_tokens_the_flops_of_a_script_are_unknown_and_not_nothing() -> None:
    per_problem = ["budget.currency=tokens_training", "budget.per_problem=1000"]
    plan = make_plan(resolve(EXAMPLES / "sft-script" / "trial.yaml", options=per_problem), "H100")
    assert (plan.most_flops, plan.whole.flops) == (None, None)
    assert plan.arms[-1].costs["adapt"].tokens_training == pytest.approx(3 * 6 * 1000)


def test_a_script_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    text = (EXAMPLES / "sft-script" / "trial.yaml").read_text()
    (tmp_path / "trial.yaml").write_text(text)
    line = next(number for number, row in enumerate(text.splitlines(), start=1) if "command:" in row)
    with pytest.raises(InputError, match=rf"trial.yaml:{line}: .*there is no file 'sft.py'"):
        check_before(resolve(tmp_path / "trial.yaml"))
    (tmp_path / "trial.yaml").write_text(text.replace("[python, sft.py]", "[no-such-program]"))
    with pytest.raises(InputError, match=r"there is no program 'no-such-program'"):
        check_before(resolve(tmp_path / "trial.yaml"))
    (tmp_path / "trial.yaml").write_text(text.replace("command: [python, sft.py], ", ""))
    with pytest.raises(InputError, match=rf"trial.yaml:{line}: arms.trl-sft: names no command; write command: "):
        check_before(resolve(tmp_path / "trial.yaml"))


def test_what_a_script_says_is_part_of_what_was_asked(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "sft-script", tmp_path / "mine")
    before = resolve(tmp_path / "mine" / "trial.yaml").arms["trl-sft"].source
    assert before == resolve(EXAMPLES / "sft-script" / "trial.yaml").arms["trl-sft"].source
    with (tmp_path / "mine" / "sft.py").open("a") as script:
        script.write("# more\n")
    assert resolve(tmp_path / "mine" / "trial.yaml").arms["trl-sft"].source != before


def plan_text(plan: Plan) -> str:
    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    console.print(plan_page(plan))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


# -- outside of a trial


def test_a_script_that_no_trial_started_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NETGAIN_TASK", raising=False)
    with pytest.raises(InputError, match="no trial has started this process; start the script as an arm"):
        netgain.task()
    (tmp_path / "task.json").write_text('{"format": "netgain.task/0"}')
    with pytest.raises(InputError, match=r"is no task file of the format netgain.task/1"):
        netgain.task(tmp_path / "task.json")


# -- beside the profiler

PROFILED = """
import json, torch, transformers
from pathlib import Path
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
import netgain
task = netgain.task()
model = transformers.AutoModelForCausalLM.from_pretrained(task.options["model"], attn_implementation="eager")
model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
weights = [weight for weight in model.parameters() if weight.requires_grad]
optimizer = torch.optim.AdamW(weights, lr=1e-3)
tokens = torch.arange(5, 29)[None]
with task.meter(model), FlopCounterMode(display=False) as seen:
    for _ in range(3):
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
trained = sum(weight.numel() for weight in weights)
Path(task.options["kept"]).write_text(json.dumps([seen.get_total_flops(), trained]))
fields = {"key": "mine", "sequences": [list(text.encode()) for text in task.texts]}
(task.output / "scripted_adapter.json").write_text(json.dumps(fields))
"""


@pytest.mark.slow  # a process that imports torch, PEFT and transformers
@pytest.mark.filterwarnings("ignore")
def test_a_script_is_charged_what_the_profiler_sees_in_its_own_process(context: RunContext, tmp_path: Path) -> None:
    """Within 1 %, over all of its steps, the optimizer's arithmetic (which the profiler does not count) apart."""
    pytest.importorskip("peft")
    folder, kept = save_model(tmp_path / "tiny"), tmp_path / "kept.json"
    roomy = replace(context, spec=world.spec(budget={"per_problem": 1e12, "ladder": [1]}))
    options = {"model": str(folder), "kept": str(kept)}
    evaluation = adapted(roomy, PROFILED, begin="", options=options)
    assert evaluation.error == ""
    profiled, weights = json.loads(kept.read_text())
    steps = [one for one in context.book.charges() if one.cost.updates]
    assert sum(one.cost.updates or 0 for one in steps) == 3
    assert spent(roomy) - 3 * OPTIMIZER_FLOPS_PER_WEIGHT * weights == pytest.approx(profiled, rel=0.01)
