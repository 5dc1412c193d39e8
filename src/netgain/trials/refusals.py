"""What a trial is refused for before anything is spent: `plan` and `run` ask here, and so say the same words.

Of the weights nothing is needed but the model's shape; where that is not known, what rests on it is not checked.
"""

from collections.abc import Mapping
from pathlib import Path
from shutil import which

from netgain.engine.jobs import Work
from netgain.errors import InputError, nearest
from netgain.metering.estimate import generate, pass_over, training_estimate
from netgain.metering.price import Lora, forward_cost, training_cost
from netgain.metering.shape import ModelShape
from netgain.methods.conventional_rl import ConventionalRlSettings, no_question
from netgain.methods.edit_rewards import voted_on
from netgain.methods.fitting import Inner
from netgain.methods.gradient_loops import EditGradientSettings
from netgain.methods.method import Learning
from netgain.methods.named_rewards import no_controls, no_questions
from netgain.methods.policy_gradient import SMALLEST_GROUP, GradientSettings
from netgain.methods.rejection import RejectionSettings, SelfConsistencySettings
from netgain.methods.rubric import no_judge
from netgain.methods.script import PYTHON, ScriptSettings
from netgain.methods.seal import LoopSettings, SealSettings, too_small
from netgain.methods.settings_edit import no_form
from netgain.methods.synthetic import MIXED, SyntheticSettings
from netgain.methods.taught import TaughtSettings, no_teacher
from netgain.methods.trained_writers import SharpenedSettings
from netgain.methods.writing import SHORTEST
from netgain.records.cost import Cost, Currency
from netgain.trials.resolve import Trial
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.task_costs import Lengths, known_amount, training_of
from netgain.trials.tasks import deployments, learn_limit, levels, tasks

ORACLE = "oracle"
OWN, PARAMETERS = "own-questions", "active_parameters"
TEXT_ALONE = RejectionSettings | SelfConsistencySettings  # of methods that compare what is trained on


def check_trial(trial: Trial, shape: ModelShape | None, lengths: Mapping[str, Lengths]) -> None:
    """Raise InputError for the first thing that a run could only fail at: a model that is not there, a teacher that is
    none, an arm without one, an edit format or a matrix to adapt that does not exist, an investment too small for its
    outer loop."""
    check_model(trial)
    for name, other in (("teacher", trial.spec.teacher), ("judge", trial.spec.judge)):
        check_other(trial, name, other)
    for arm in trial.arms.values():
        _check_formats(trial, arm)
        _check_script(trial, arm)
        _check_reward(trial, arm)
        if isinstance(arm.settings, TaughtSettings) and trial.spec.teacher is None:
            raise trial.lines.error(("arms", arm.name), *_words(no_teacher()))
        if shape is not None:
            _check_targets(trial, arm, shape)
            _check_investment(trial, arm, shape, lengths)


def check_model(trial: Trial) -> None:
    """Raise InputError where the trial's model is a folder that is not there."""
    if trial.model != trial.spec.model and not Path(trial.model).exists():
        raise InputError(f"model {trial.spec.model!r}", "is missing from this installation", "install netgain again")
    _check_folder(trial, ("model",), trial.spec.model)


def check_other(trial: Trial, name: str, fields: object) -> None:
    """Raise InputError where a teacher or judge names no model, or a folder that is not there."""
    if fields is None or (name == "teacher" and fields == ORACLE):
        return
    if not isinstance(fields, Mapping):
        raise InputError(f"{name} {fields!r}", "is not known", "write oracle, or a mapping with model")
    if "model" not in fields:
        raise InputError(name, "names no model", "write model: FOLDER, or url: and model:")
    if "url" not in fields:
        _check_folder(trial, (name,), str(fields["model"]))


def _check_folder(trial: Trial, at: tuple[str, ...], stated: str) -> None:
    """A name that is no hub's (OWNER/NAME) is a folder's."""
    found = trial.located(stated)
    if not Path(found).exists() and (found.count("/") > 1 or found.startswith((".", "~", "/"))):
        remedy = "paths are relative to the trial's file; a hub name is OWNER/NAME"
        raise trial.lines.error(at, f"{'.'.join(at)} = {stated!r}: there is no such folder", remedy)


def _words(error: InputError) -> tuple[str, str]:
    return f"{error.where}: {error.problem}", error.remedy


def _check_formats(trial: Trial, arm: ResolvedArm) -> None:
    """Every format that an arm writes in, or has a teacher write in, is one of every domain's; so are those that its
    tuning tries."""
    settings = arm.settings
    wanted: tuple[str, ...] = ()
    if isinstance(settings, SyntheticSettings):
        wanted = (settings.format, *arm.knobs.get("format", ()), *settings.mix)
    elif isinstance(settings, TaughtSettings):
        wanted = (settings.teacher_format, *arm.knobs.get("teacher_format", ()))
    for name, (kind, _) in trial.kinds.items():
        for form in wanted:
            if form not in ("", MIXED, *kind.prompts.formats):
                problem = f"format {form!r}: is no edit format of domain {name}"
                raise trial.lines.error(("arms", arm.name), problem, nearest(form, kind.prompts.formats))
            formats = kind.prompts.formats
            known = formats.get(form or next(iter(formats), ""))
            if known and known.splitting == "settings" and isinstance(settings, TEXT_ALONE):
                problem = f"format {known.name!r}: chooses a training, and this method compares texts to train on"
                raise trial.lines.error(("arms", arm.name), problem, "use synthetic, seal or settings-search")
            if isinstance(settings, SyntheticSettings) and settings.constrained:
                _check_form(trial, arm, known is not None and known.splitting == "settings")


def _check_form(trial: Trial, arm: ResolvedArm, chooses: bool) -> None:
    """Edits that are held to a schema have one, and are learnt from by a rule that may."""
    if not chooses:
        raise trial.lines.error(("arms", arm.name), *_words(no_form()))
    if isinstance(arm.settings, GradientSettings):
        problem = "constrained: a policy gradient weighs its edits by what the policy itself would have drawn"
        raise trial.lines.error(("arms", arm.name), problem, "leave it out, or use seal or reinforce")


def _check_reward(trial: Trial, arm: ResolvedArm) -> None:
    """What each reward that an arm takes, or that its tuning tries, needs is there."""
    settings, judge = arm.settings, trial.spec.judge
    if not isinstance(settings, LoopSettings):
        return
    wanted = {settings.reward, *arm.knobs.get("reward", ())}
    found: InputError | None = None
    if "rubric" in wanted and judge is None:
        found = no_judge()
    elif "rubric" in wanted and judge is not None and "url" in judge and not judge.get("prices", {}).get(PARAMETERS):
        problem = "the judge is paid by the arm, and nobody says what this server's takes in FLOPs"
        remedy = f"write prices: {{{PARAMETERS}: ...}} under judge"
        found = InputError("reward 'rubric'", problem, remedy) if trial.spec.budget.currency is Currency.FLOPS else None
    for domain in trial.domains.values() if wanted & {"net", OWN, "likelihood"} else ():  # they are read only for these
        forms = [domain.prompts.formats.get(name) for name in (settings.asking, *arm.knobs.get("asking", ()))]
        few = domain.few_shot is not None
        if "net" in wanted and not domain.controls(1, trial.spec.seed):
            found = found or no_controls()
        if OWN in wanted and (few or any(form is None or form.splitting != "questions" for form in forms)):
            found = found or no_questions(settings.asking)
        if "likelihood" in wanted and few:
            found = found or voted_on()
    if found is not None:
        raise trial.lines.error(("arms", arm.name), *_words(found))


def _check_script(trial: Trial, arm: ResolvedArm) -> None:
    """The program of a script, and the Python file that it runs, are there."""
    settings, folder = arm.settings, trial.lines.folder
    if not isinstance(settings, ScriptSettings):
        return
    if not settings.command:
        problem = f"arms.{arm.name}: names no command"
        raise trial.lines.error(("arms", arm.name), problem, "write command: [python, my_train.py]")
    program = settings.command[0]
    if program not in PYTHON and not (folder / program).is_file() and which(program) is None:
        problem = f"command: there is no program {program!r}"
        raise trial.lines.error(("arms", arm.name), problem, "name one, or write [python, my_train.py]")
    for file in [word for word in settings.command[1:] if word.endswith(".py")] + list(settings.reads):
        if not (folder / file).is_file():
            problem = f"command: there is no file {file!r}"
            raise trial.lines.error(("arms", arm.name), problem, "paths are relative to the trial's file")


def _check_targets(trial: Trial, arm: ResolvedArm, shape: ModelShape) -> None:
    if isinstance(arm.settings, Inner):
        try:
            training_of(arm).check(shape)
        except InputError as error:
            raise trial.lines.error(("arms", arm.name), *_words(error)) from None


def _check_investment(trial: Trial, arm: ResolvedArm, shape: ModelShape, lengths: Mapping[str, Lengths]) -> None:
    """The least that a round of an outer loop can do is paid for by its part of the investment, at every level."""
    settings = arm.settings
    loops = LoopSettings | SharpenedSettings | ConventionalRlSettings
    if not (isinstance(settings, loops) and isinstance(settings, Learning)):
        return
    currency = trial.spec.budget.currency
    for task in tasks(trial.spec):
        if task.arm == arm.name and task.stage == "run":
            level = min(levels(trial.spec, task))
            limit = learn_limit(trial.spec, level, settings.split, deployments(trial.spec, task))
            conventional = isinstance(settings, ConventionalRlSettings)
            least = known_amount(
                least_group(settings, shape, lengths[task.domain])
                if isinstance(settings, ConventionalRlSettings)
                else least_context(settings, shape, lengths[task.domain]),
                currency,
            )
            if known_amount(limit, currency) / settings.rounds < least:
                words = _words(no_question() if conventional else too_small())
                raise trial.lines.error(("arms", arm.name), *words)


def least_group(settings: ConventionalRlSettings, shape: ModelShape, lengths: Lengths) -> Cost:
    """Less than which no step of reinforcement learning on questions takes: one question, asked the cheaper way, two
    answers of a token each, and the policy's step on them."""
    prompt = round(lengths.reading if settings.asked == "open" else lengths.question)
    return _drawn(shape, prompt, SMALLEST_GROUP, 1) + _least_step(settings, shape, prompt)


def least_context(settings: LoopSettings | SharpenedSettings, shape: ModelShape, lengths: Lengths) -> Cost:
    """Less than which no context of a round takes: the shortest edit and, where rewards are measured here (a judge's
    price is another model's), one evaluation of it, its questions answered in one token each.

    A policy gradient compares two edits at the least, and pays for its step on them. One evaluation is enough: an edit
    that nothing can be trained on has its reward without.
    """
    prompt, compares = round(lengths.passage), isinstance(settings, EditGradientSettings)
    cost = _drawn(shape, prompt, SMALLEST_GROUP if compares else 1, SHORTEST)
    if isinstance(settings, EditGradientSettings):
        cost += _least_step(settings, shape, prompt)
    unpaid = isinstance(settings, SealSettings) and settings.select == "unpaid"
    if unpaid or not isinstance(settings, LoopSettings) or settings.reward == "rubric":
        return cost
    inner = settings.reward_training()
    texts = (settings.with_passage + settings.sentences) * [prompt] or [SHORTEST]
    lora = Lora(inner.rank, inner.target_modules)
    trained = training_estimate(shape, texts, training=lora, epochs=settings.reward_epochs, engine="planned")
    asked = 1 if settings.reward == OWN else max(1, int(lengths.asked))  # of its own questions one is enough
    exam = _drawn(shape, round(lengths.question), asked, 1)
    return cost + trained + (2 if settings.reward == "gain" else 1) * exam


def _drawn(shape: ModelShape, prompt: int, count: int, new: int) -> Cost:
    """``count`` texts of ``new`` tokens after prompts that share all they can: that is run once for all of them."""
    shared = prompt - 1 if count > 1 else 0
    return forward_cost(shape, generate([prompt] * count, [new] * count, shared_prefix=shared, kernel="causal"))


def _least_step(settings: GradientSettings, shape: ModelShape, prompt: int) -> Cost:
    """Less than which no step of a policy gradient takes once its texts are drawn: those of the smallest group, a token
    each, are scored, and one update is made on them."""
    read = pass_over([prompt + 1] * SMALLEST_GROUP, kernel="causal", head_positions=SMALLEST_GROUP)
    lora = Lora(settings.outer_rank, settings.outer_modules)
    return forward_cost(shape, read) + training_cost(shape, read + Work(training=SMALLEST_GROUP, updates=1.0), lora)
