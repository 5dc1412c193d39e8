"""SEAL's published results (github.com/Continual-Intelligence/SEAL), the whole repository or any part of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import final

from netgain import __version__
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
from netgain.audit.seal.files import (
    ContinualFile,
    CorpusFile,
    GridTable,
    PassageFile,
    SealFiles,
    any_mark,
    bad_file,
    collect,
)
from netgain.audit.seal.frozen_answers import FrozenAnswers
from netgain.audit.seal.pricing import MODEL, PAPER, Pricing
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


@final
@dataclass
class _Draft:
    """What has been gathered from the files so far."""

    exams: dict[str, Exam] = field(default_factory=dict)
    arms: list[Arm] = field(default_factory=list)
    runs: list[RewardRun] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    continual: list[Continual] = field(default_factory=list)
    frozen: dict[str, FrozenAnswers] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def name_for(self, file: str) -> str:
        """The file's stem; with its folder in front where the stem is taken."""
        stem = PurePosixPath(file).stem
        taken = {arm.name for arm in self.arms} | {run.name for run in self.runs}
        return stem if stem not in taken else file.removesuffix(".json")


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
        draft = _Draft(findings=list(files.findings))
        pricing = Pricing(find_shape(MODEL), tokens)
        for file, data in files.passages.items():
            _guarded(draft, file, partial(_add_passages, draft, file, data, pricing))
        for file, corpus in files.corpora.items():
            _guarded(draft, file, partial(_add_corpus, draft, file, corpus, pricing))
        for file, grid in files.grids.items():
            _guarded(draft, file, partial(_add_grid, draft, file, grid))
        for file, stream in files.continual.items():
            _guarded(draft, file, partial(_add_continual, draft, file, stream, files))
        if not draft.arms and not draft.runs and not draft.continual:
            raise InputError(str(folder), "none of its result files can be used", _why(draft.findings))
        _add_frozen(draft)
        draft.findings += frozen_answers.findings(draft.frozen)
        draft.findings += list(_collapsed(files)) + list(_wrong_metas(files))
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


def _add_continual(draft: _Draft, file: str, data: ContinualFile, files: SealFiles) -> None:
    """The file over all sequences, with those of single runs (in folders called run...) beside it."""
    singles = {name: run for name, run in files.continual.items() if "run" in PurePosixPath(name).parent.name}
    if file not in singles:
        draft.continual.append(continual_of(PurePosixPath(file).parent.name, file, data, singles))


def _why(findings: list[Finding]) -> str:
    return findings[0].message if findings else "give the folder that holds results/"


def _add_passages(draft: _Draft, file: str, data: PassageFile, pricing: Pricing) -> None:
    if data.split_newlines is None or data.lora_params.batch_size is None:
        draft.findings.append(_setting_missing(file, data))
    if not data.articles:
        draft.findings.append(_missing(file, "it holds no articles"))
        return
    name = draft.name_for(file)
    if data.k_completions > 1 or PurePosixPath(file).stem.startswith("rank"):
        run, charges = reward_run(name, file, data, pricing)
        draft.runs.append(run)
    else:
        exam = exam_of(data)
        arm, charges = single_passage_arm(name, file, data, exam, pricing)
        draft.exams[exam.name] = exam
        draft.arms.append(arm)
        draft.frozen[name] = _frozen_answers(data)
    draft.charges += charges


def _add_frozen(draft: _Draft) -> None:
    """The frozen model as an arm: as published beside the base model's own edits, else beside the first arm."""
    beside = [arm for arm in draft.arms if arm.setting == "single passage" and arm.frozen_correct]
    if beside:
        arm, charge = frozen_arm(next((arm for arm in beside if arm.name == "base"), beside[0]))
        draft.arms.insert(0, arm)
        draft.charges.append(charge)


def _frozen_answers(data: PassageFile) -> FrozenAnswers:
    rows = [question for article in data.articles for question in first_pass(article.completions[:1])]
    return FrozenAnswers(tuple(q.baseline_answer for q in rows), tuple(q.baseline_correct for q in rows))


def _add_corpus(draft: _Draft, file: str, data: CorpusFile, pricing: Pricing) -> None:
    name = draft.name_for(file)
    reply = data.server_reply
    answers = FrozenAnswers(reply.baseline_texts, reply.baseline_correct)
    exam = _same_order(draft, answers) if len(reply.adapter_correct) == len(reply.baseline_correct) else None
    if exam is None:
        problem = "its verdicts are one flat list and the order of its questions could not be established"
        draft.findings.append(_missing(file, problem))
    else:
        draft.frozen[name] = answers
    arm, charges = corpus_arm(name, file, data, exam, pricing)
    draft.arms.append(arm)
    draft.charges += charges


def _same_order(draft: _Draft, answers: FrozenAnswers) -> Exam | None:
    """The single-passage exam whose frozen answers agree with this list position by position, far beyond chance."""
    best = max(
        (arm for arm in draft.arms if arm.name in draft.frozen and arm.setting == "single passage"),
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
    arms = [_with_bill(arm, draft.runs, letters) for arm in draft.arms]
    return Claim(
        name="seal",
        title="SEAL: Self-Adapting Language Models",
        paper=PAPER,
        url="https://github.com/Continual-Intelligence/SEAL",
        licence="MIT",
        model=MODEL,
        distilled_by=f"netgain {__version__}",
        headline=_named(arms, "iter2") or _last_round(arms),
        rival=_named(arms, "gpt4_1"),
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
            "the outer loop (SEAL). CPT: one adapter for all passages."
        ),
        notes=(
            "Updates, positions and FLOPs are what the published configuration implies, not what a machine measured.",
            "In the released training code every sequence is padded to 2,048 positions and the padding has a loss.",
        ),
    )


def _with_bill(arm: Arm, runs: list[RewardRun], letters: dict[str, str]) -> Arm:
    """The arm with the outer-loop rounds it stands on: all earlier rounds of its prompt, published or not."""
    rounds = range(arm.round or 0) if arm.role == "self_improving" else range(0)
    by_round = {run.round: run.name for run in runs if run.prompt == arm.prompt}
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
    """Without the authors' headline arm: the best of the last round, single passages before anything else."""
    trained = [arm for arm in arms if arm.role == "self_improving"]
    order = {arm.name: (arm.setting == "single passage", arm.round or 0, arm.accuracy or 0.0) for arm in trained}
    return max(order, key=lambda name: order[name], default=None)


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
    count = len(files.passages) + len(files.corpora) + len(files.grids) + len(files.continual)
    return f"the field names of {count} result files, and the tables and appendix of {PAPER}"


def _regressions(has_matrix: bool) -> PublishedAnswer:
    if not has_matrix:
        return PublishedAnswer(answer="cannot tell", evidence=("no continual self-edits results among the files",))
    return PublishedAnswer(
        answer="yes",
        evidence=("one experiment re-examines earlier passages after each of 8 self-edits (continual_self_edits)",),
    )
