"""SEAL's published results (github.com/Continual-Intelligence/SEAL), the whole repository or any part of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import final

from netgain import SOFTWARE
from netgain.audit.audit import Reader
from netgain.audit.seal import frozen_answers
from netgain.audit.seal.arms import (
    continual_of,
    corpus_arm,
    exam_of,
    first_pass,
    frozen_arm,
    grid_arm,
    reward_run,
    single_passage_arm,
)
from netgain.audit.seal.few_tasks import few_tasks
from netgain.audit.seal.files import (
    ContinualFile,
    CorpusFile,
    FullTuningFile,
    GridTable,
    PassageFile,
    SealFiles,
    any_mark,
    bad_file,
    collect,
)
from netgain.audit.seal.frozen_answers import FrozenAnswers
from netgain.audit.seal.full_tuning import Asked, aligned, exam_by_position, exam_by_question, frozen_of, tuned_arm
from netgain.audit.seal.naming import HYPERNETWORK, MODEL, TrainedModel, trained_model
from netgain.audit.seal.pricing import PAPER, Pricing
from netgain.errors import InputError
from netgain.metering.shape import find_shape
from netgain.records.claim import Arm, Charge, Claim, Continual, Exam, Finding, PublishedAnswer, RewardRun
from netgain.records.provenance import Source
from netgain.tokens import TokenCounter

_KINDS = {
    "gradient updates": ("updates", "steps", "global_step"),
    "training tokens": ("tokens", "num_tokens", "train_tokens"),
    "FLOPs": ("flops", "total_flos"),
    "device time of each arm": ("runtime", "seconds", "gpu_hours", "train_runtime"),
    "teacher's tokens or dollars": ("usage", "prompt_tokens", "completion_tokens"),
    "grader's tokens or dollars": ("grader_usage", "grader_tokens", "judge_tokens"),
    "tuning trials": ("n_trials", "trials", "sweep"),
    "cost of evaluation": ("eval_runtime", "eval_seconds", "eval_tokens"),
}


BY_QUESTION = (
    "Continued pretraining by full fine-tuning was examined on a part of the questions about all passages: a question "
    "is the unit of its intervals, and questions about one passage are taken as independent."
)


@final
@dataclass
class _Draft:
    """What has been gathered from the files so far. ``models`` says which model an arm or a reward run trained."""

    files: SealFiles
    tokens: TokenCounter
    exams: dict[str, Exam] = field(default_factory=dict)
    arms: list[Arm] = field(default_factory=list)
    runs: list[RewardRun] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    continual: list[Continual] = field(default_factory=list)
    frozen: dict[str, FrozenAnswers] = field(default_factory=dict)
    models: dict[str, TrainedModel] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def name_for(self, file: str, model: TrainedModel | None = None) -> str:
        """The file's stem, behind the size of another model than the paper's; the whole path where that is taken."""
        stem = PurePosixPath(file).stem
        name = f"{model.size}/{stem}" if model and model.mark and model.size else stem
        taken = {arm.name for arm in self.arms} | {run.name for run in self.runs}
        name = name if name not in taken else file.removesuffix(".json")
        if model:
            self.models[name] = model
        return name

    def model_of(self, file: str, stated: str, dataset: str) -> TrainedModel:
        """The model that a file's arm trained. A hypernetwork's own is what some file of it states, else unknown."""
        if HYPERNETWORK in PurePosixPath(file).stem and "/" not in stated:
            beside = [data.model for name, data in self.files.tuned.items() if HYPERNETWORK in PurePosixPath(name).stem]
            return TrainedModel(next(iter(beside), ""))
        return trained_model(stated, file, dataset, self.files.metas)

    def pricing(self, model: TrainedModel) -> Pricing:
        """Prices for this model; without FLOPs where its shape is not known."""
        try:
            return Pricing(find_shape(model.base), self.tokens)
        except InputError:
            return Pricing(None, self.tokens)


@final
class SealReader(Reader):
    """SEAL's repository or any part of it: JSON files with articles, server_reply or mean_over_sequences.

    Every file is recognised by its content, not by where it lies.
    """

    def recognises(self, folder: Path) -> bool:
        """Whether some JSON file below the folder has a field of SEAL's result files."""
        return folder.is_dir() and any_mark(folder)

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim in these files. Raises InputError where no file can be used."""
        files = collect(folder)
        if not files.usable:
            raise InputError(
                str(folder), "none of its JSON files is a SEAL result file that can be read", _why(files.findings)
            )
        draft = _Draft(files, tokens, findings=list(files.findings))
        for file, data in files.passages.items():
            _guarded(draft, file, partial(_add_passages, draft, file, data))
        for file, corpus in files.corpora.items():
            _guarded(draft, file, partial(_add_corpus, draft, file, corpus))
        for file, tuned in files.tuned.items():
            _guarded(draft, file, partial(_add_tuned, draft, file, tuned))
        for file, grid in files.grids.items():
            _guarded(draft, file, partial(_add_grid, draft, file, grid))
        for file, stream in files.continual.items():
            _guarded(draft, file, partial(_add_continual, draft, file, stream))
        if not draft.arms and not draft.runs and not draft.continual:
            raise InputError(str(folder), "none of its result files can be used", _why(draft.findings))
        _add_frozen(draft)
        by_model = _by_model(draft)
        for base, frozen in by_model:
            draft.findings += frozen_answers.findings(frozen, base if len(by_model) > 1 else "")
        draft.findings += [*_collapsed(files), *_wrong_metas(files), *few_tasks(files)]
        return _claim(draft, files, tokens)


def _guarded(draft: _Draft, file: str, add: Callable[[], None]) -> None:
    """One file's conversion; whatever is wrong with its values becomes a finding, and the other files are read on."""
    try:
        add()
    except (ValueError, ArithmeticError, LookupError) as error:
        draft.findings.append(bad_file(file, f"its values cannot be used: {' '.join(str(error).split())[:200]}"))


def _add_grid(draft: _Draft, file: str, data: GridTable) -> None:
    arm, exam = grid_arm("arc_" + draft.name_for(file), file, data)
    draft.arms.append(arm)
    draft.exams[exam.name] = exam


def _add_continual(draft: _Draft, file: str, data: ContinualFile) -> None:
    """The file over all sequences, with those of single runs (in folders called run...) beside it."""
    singles = {name: run for name, run in draft.files.continual.items() if "run" in PurePosixPath(name).parent.name}
    if file not in singles:
        draft.continual.append(continual_of(PurePosixPath(file).parent.name, file, data, singles))


def _why(findings: list[Finding]) -> str:
    return findings[0].message if findings else "give the folder that holds results/"


def _by_model(draft: _Draft) -> list[tuple[str, dict[str, FrozenAnswers]]]:
    """The frozen answers of each model apart: of two models nobody expects the same."""
    bases = dict.fromkeys(draft.models[name].base for name in draft.frozen)
    return [(base, {n: a for n, a in draft.frozen.items() if draft.models[n].base == base}) for base in bases]


def _add_passages(draft: _Draft, file: str, data: PassageFile) -> None:
    if data.split_newlines is None or data.lora_params.batch_size is None:
        draft.findings.append(_setting_missing(file, data))
    if not data.articles:
        draft.findings.append(_missing(file, "it holds no articles"))
        return
    model = draft.model_of(file, data.model, data.dataset)
    pricing, name = draft.pricing(model), draft.name_for(file, model)
    if data.k_completions > 1 or PurePosixPath(file).stem.startswith("rank"):
        run, charges = reward_run(name, file, data, pricing, model)
        draft.runs.append(run)
    else:
        exam = exam_of(data)
        arm, charges = single_passage_arm(name, file, data, exam, pricing, model)
        draft.exams[exam.name] = exam
        asked = Asked.of(data)
        draft.asked += [asked] if asked not in draft.asked else []
        draft.arms.append(arm)
        draft.frozen[name] = _frozen_answers(data)
    draft.charges += charges


def _add_frozen(draft: _Draft) -> None:
    """Each frozen model as an arm: as published beside its own edits, else beside the first arm of single passages."""
    single = [arm for arm in draft.arms if arm.setting.startswith("single passage") and arm.frozen_correct]
    for setting in reversed(dict.fromkeys(arm.setting for arm in single)):
        beside = [arm for arm in single if arm.setting == setting]
        chosen = next((arm for arm in beside if PurePosixPath(arm.name).name == "base"), beside[0])
        model = draft.models[chosen.name]
        name = f"{model.mark}/frozen" if model.mark else "frozen"
        arm, charge = frozen_arm(chosen, name, model.label("frozen model"))
        draft.arms.insert(0, arm)
        draft.charges.append(charge)


def _frozen_answers(data: PassageFile) -> FrozenAnswers:
    rows = [question for article in data.articles for question in first_pass(article.completions[:1])]
    return FrozenAnswers(tuple(q.baseline_answer for q in rows), tuple(q.baseline_correct for q in rows))


def _add_corpus(draft: _Draft, file: str, data: CorpusFile) -> None:
    model = draft.model_of(file, "", data.dataset)
    name = draft.name_for(file, model)
    reply = data.server_reply
    answers = FrozenAnswers(reply.baseline_texts, reply.baseline_correct)
    exam = _same_order(draft, answers, model) if len(reply.adapter_correct) == len(reply.baseline_correct) else None
    if exam is None:
        problem = "its verdicts are one flat list and the order of its questions could not be established"
        draft.findings.append(_missing(file, problem))
    else:
        draft.frozen[name] = answers
    arm, charges = corpus_arm(name, file, data, exam, draft.pricing(model), model)
    draft.arms.append(arm)
    draft.charges += charges


def _add_tuned(draft: _Draft, file: str, data: FullTuningFile) -> None:
    model = draft.model_of(file, data.model, data.dataset)
    name = draft.name_for(file, model)
    exam = _drawn(draft, file, data)
    arm, charges = tuned_arm(name, file, data, exam, draft.pricing(model), model)
    if exam:
        draft.exams[exam.name] = exam
    draft.arms.append(arm)
    draft.charges += charges
    frozen = frozen_of(arm, file, data)
    if frozen:
        draft.arms.append(frozen[0])
        draft.charges.append(frozen[1])


def _drawn(draft: _Draft, file: str, data: FullTuningFile) -> Exam | None:
    """The questions of a file that does not name them: found by the answers, else taken by position."""
    if len(data.per_question.adapter_texts) != len(data.per_question.adapter_correct):
        draft.findings.append(_missing(file, "it has not one verdict for each answer"))
        return None
    orders = [ids for asked in draft.asked if (ids := asked.drawn(data))]
    if orders:
        return exam_by_question(orders[0])
    alike = [n for n, other in draft.files.tuned.items() if n != file and other.n_articles == data.n_articles]
    if any(aligned(data, draft.files.tuned[name]) for name in alike):
        return exam_by_position(f"{data.n_articles} passages", len(data.per_question.adapter_correct))
    draft.findings.append(_missing(file, "it does not name its questions and their order could not be established"))
    return None


def _same_order(draft: _Draft, answers: FrozenAnswers, model: TrainedModel) -> Exam | None:
    """The single-passage exam whose frozen answers agree with this list position by position, far beyond chance."""
    best = max(
        (arm for arm in draft.arms if arm.name in draft.frozen and arm.setting == model.setting("single passage")),
        key=lambda arm: frozen_answers.agreement(draft.frozen[arm.name], answers),
        default=None,
    )
    if best is None or best.exam is None or frozen_answers.agreement(draft.frozen[best.name], answers) < 0.2:
        return None
    return draft.exams[best.exam]


def _setting_missing(file: str, data: PassageFile) -> Finding:
    names = {"split_newlines": data.split_newlines, "lora_params.batch_size": data.lora_params.batch_size}
    unknown = ", ".join(name for name, value in names.items() if value is None)
    message = f"{file}: {unknown} is not stated, so what its training cost is unknown"
    return Finding(check="setting-missing", severity="medium", message=message, evidence=(file,))


def _missing(file: str, problem: str) -> Finding:
    return Finding(check="per-question-data-missing", severity="medium", message=f"{file}: {problem}", evidence=(file,))


def _collapsed(files: SealFiles) -> Iterator[Finding]:
    evidence = []
    for file, data in files.corpora.items():
        if data.per_article and len(data.per_article) < data.n_articles:
            rows = [entry.get("adapter_correct", ()) for entry in data.per_article.values() if isinstance(entry, dict)]
            left = sum(len(row) for row in rows if isinstance(row, list))
            entries = f"{data.n_articles} articles in {len(data.per_article)} entries"
            evidence.append(f"{file}: {entries}, {left} of {data.eval_questions} verdicts survive under per_article")
    if evidence:
        yield Finding(
            check="entries-collapse",
            severity="medium",
            message=f"results keyed by title: in {len(evidence)} files the articles of one title overwrite each other",
            evidence=tuple(evidence),
        )


def _wrong_metas(files: SealFiles) -> Iterator[Finding]:
    for file, meta in files.metas.items():
        stem, model = PurePosixPath(file).name, str(meta.get("model", ""))
        if stem.startswith("gpt") and "gpt" not in model.lower():
            yield Finding(
                check="provenance-contradicts",
                severity="low",
                message=f"{file} names {model!r} as the writer of a GPT data set",
                evidence=(f"model = {model}",),
            )


def _claim(draft: _Draft, files: SealFiles, tokens: TokenCounter) -> Claim:
    letters = frozen_answers.groups(draft.frozen)
    arms = [_with_bill(arm, draft, letters) for arm in draft.arms]
    headline = _named(arms, "iter2") or _last_round(arms)
    return Claim(
        name="seal-v2" if files.tuned else "seal",
        title=f"SEAL: Self-Adapting Language Models{' (version 2)' if files.tuned else ''}",
        paper=PAPER,
        url="https://github.com/Continual-Intelligence/SEAL",
        licence="MIT",
        model=MODEL,
        distilled_by=SOFTWARE,
        headline=headline,
        rival=_named(arms, "gpt4_1") or _teacher_beside(arms, headline),
        exams=tuple(draft.exams.values()),
        arms=tuple(arms),
        reward_runs=tuple(draft.runs),
        continual=tuple(draft.continual),
        charges=tuple(draft.charges),
        reported=_reported(files),
        searched=_searched(files),
        regressions=_regressions(bool(draft.continual)),
        tokens=tokens.how,
        findings=tuple(draft.findings),
        glossary=(
            "R0: text written by the untrained model, unselected. R1, R2: written by the model after so many rounds of "
            f"the outer loop (SEAL). CPT: one {'model' if files.tuned else 'adapter'} for all passages."
        ),
        notes=(
            *((BY_QUESTION,) if files.tuned else ()),
            "Updates, positions and FLOPs are what the published configuration implies, not what a machine measured.",
            "In the released training code every sequence is padded to 2,048 positions and the padding has a loss.",
        ),
    )


def _with_bill(arm: Arm, draft: _Draft, letters: dict[str, str]) -> Arm:
    """The arm with the outer-loop rounds it stands on: all earlier rounds of its prompt with its model, published or
    not."""
    rounds = range(arm.round or 0) if arm.role == "self_improving" else range(0)
    runs = [run for run in draft.runs if run.prompt == arm.prompt and draft.models[run.name].base == arm.model]
    by_round = {run.round: run.name for run in runs}
    return arm.model_copy(
        update={
            "invests": tuple(by_round[index] for index in rounds if index in by_round),
            "invests_unpublished": tuple(f"{arm.prompt} round {i + 1}" for i in rounds if i not in by_round),
            "frozen_group": letters.get(arm.name, ""),
        }
    )


def _named(arms: list[Arm], name: str) -> str | None:
    return name if any(arm.name == name for arm in arms) else None


def _last_round(arms: list[Arm]) -> str | None:
    """Without the authors' headline arm: the best of the last round, of the paper's main model before any other, on
    single passages before anything else."""
    trained = [arm for arm in arms if arm.role == "self_improving"]
    order = {
        arm.name: (arm.model == MODEL, arm.setting.startswith("single passage"), arm.round or 0, arm.accuracy or 0.0)
        for arm in trained
    }
    return max(order, key=lambda name: order[name], default=None)


def _teacher_beside(arms: list[Arm], headline: str | None) -> str | None:
    """The teacher's arm under the headline arm's prompt, in its setting and with its model."""
    lead = next((arm for arm in arms if arm.name == headline), None)
    if lead is None:
        return None
    beside = (arm for arm in arms if arm.role == "teacher" and arm.setting == lead.setting)
    return next((arm.name for arm in beside if arm.prompt == lead.prompt), None)


def _reported(files: SealFiles) -> dict[str, Source | None]:
    """Where each kind of compute is stated: in a field of some file or in the paper, None where neither has it."""
    found = {kind: sorted(files.keys & set(keys)) for kind, keys in _KINDS.items()}
    reported = {kind: Source(file="result files", field=keys[0]) if keys else None for kind, keys in found.items()}
    hours = "about 6 h on two H100 for the 750 inner loops of a round; 30 to 45 s a self-edit evaluation"
    grids = "the grids of rank, learning rate, epochs and batch size; not which of their points were run, or their cost"
    return (
        reported
        | {"device time of the outer loop": Source(file=PAPER, field="appendix B", note=hours)}
        | ({} if reported["tuning trials"] else {"tuning trials": Source(file=PAPER, field="tables 3-4", note=grids)})
    )


def _searched(files: SealFiles) -> str:
    count = len(files.passages) + len(files.corpora) + len(files.tuned) + len(files.grids) + len(files.continual)
    return f"the field names of {count} result files, and the tables and appendix of {PAPER}"


def _regressions(has_matrix: bool) -> PublishedAnswer:
    if not has_matrix:
        return PublishedAnswer(answer="cannot tell", evidence=("no continual self-edits results among the files",))
    return PublishedAnswer(
        answer="yes",
        evidence=("one experiment re-examines earlier passages after each of 8 self-edits (continual_self_edits)",),
    )
