"""A training run as its files describe it, and the claim that several of them make.

A fine-tuned model is trained once and examined on many questions: what a claim calls a problem is here the whole run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, final

from netgain import SOFTWARE
from netgain.metering.price import known_weights, rough_training_flops
from netgain.records.claim import Arm, Charge, Claim, Finding, Purpose, Role, Training
from netgain.records.cost import Cost, Currency
from netgain.records.measurements import Curve
from netgain.records.provenance import Source

REPORTED = ("gradient updates", "training tokens", "FLOPs", "device time of each arm")
PER_RUN = "What is counted for a problem is here counted for a whole training run."


@final
@dataclass
class RunRecord:
    """What one run's files say; whatever they do not say is None. ``file`` is where most of it stands.

    ``seconds`` are of a device (wall-clock times ranks). ``trained`` says whether an adapter or all weights were;
    ``flops_by`` how ``flops`` were arrived at, where they were not stated. ``role`` stays OTHER unless the files say
    more: which run is treated and which the baseline is for the person who asks.
    """

    name: str
    file: str
    label: str = ""
    setting: str = "training runs"
    role: Role = Role.OTHER
    model: str = ""
    dataset: str = ""
    trained: Literal["lora", "full"] | None = None
    training: Training | None = None
    updates: float | None = None
    tokens_real: float | None = None
    tokens_padded: float | None = None
    tokens_generated: float | None = None
    flops: float | None = None
    flops_by: str = ""
    seconds: float | None = None
    dollars: float | None = None
    ranks: int | None = None
    seed: int | None = None
    accuracy: float | None = None
    n_questions: int | None = None
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def say(self, check: str, message: str, *evidence: str, severity: Literal["medium", "low", "note"] = "low") -> None:
        """Note something that a reader of this run should know."""
        message, evidence = f"{self.label or self.name}: {message}", evidence or (self.file,)
        self.findings.append(Finding(check=check, severity=severity, message=message, evidence=evidence))

    def arm(self) -> Arm:
        """The run as an arm: trained once, under one seed."""
        stated = {"seed": self.seed, "ranks": self.ranks, "data": self.dataset or None}
        told = ", ".join(f"{name} {value}" for name, value in stated.items() if value is not None)
        return Arm(
            name=self.name,
            label=self.label or self.name,
            setting=self.setting,
            role=self.role,
            model=self.model,
            accuracy=self.accuracy,
            n_questions=self.n_questions,
            seeds=None if self.role is Role.FROZEN else 1,
            training=self.training,
            curves=tuple(self.curves),
            sources=(Source(file=self.file, note=told),),
        )

    def charge(self) -> Charge:
        """What the run took, as one whole."""
        flops, estimated = self._flops()
        real, padded = self.tokens_real, self.tokens_padded
        if real is not None and padded is not None and padded < real:
            padded = None  # two counters that do not fit together: the larger one says what it counts
        cost = Cost(
            updates=self.updates,
            tokens_real=real,
            tokens_padded=padded,
            tokens_generated=self.tokens_generated,
            flops=flops,
            seconds=self.seconds,
            dollars=self.dollars,
        )
        frozen = self.role is Role.FROZEN
        return Charge(
            arm=self.name,
            purpose=Purpose.ADAPT,
            operation="none" if frozen else "training run",
            problems=1,
            cost=Cost.zero() if frozen else cost,
            estimated=(Currency.FLOPS,) if estimated and not frozen else (),
            source=Source(file=self.file, note=self.flops_by if estimated else ""),
        )

    def _flops(self) -> tuple[float | None, bool]:
        """From the model's shape where it is known; else as the run's own rule of thumb has it; else unknown."""
        tokens = self.tokens_padded if self.tokens_padded is not None else self.tokens_real
        weights = known_weights(self.model)
        if weights is not None and tokens is not None and self.trained is not None:
            self.flops_by = f"{4 if self.trained == 'lora' else 6} x weights of {self.model} x tokens"
            return rough_training_flops(weights, tokens, self.trained), True
        return self.flops, self.flops is not None


def claim_of_runs(
    name: str,
    title: str,
    runs: Sequence[RunRecord],
    *,
    headline: str | None = None,
    rival: str | None = None,
    findings: Iterable[Finding] = (),
    notes: Iterable[str] = (),
    url: str = "",
    licence: str = "",
) -> Claim:
    """The claim that these runs make; without a headline nobody is compared until it is said who."""
    charges = [run.charge() for run in runs]
    models = {run.model for run in runs if run.model}
    return Claim(
        name=name,
        title=title,
        url=url,
        licence=licence,
        model=next(iter(models)) if len(models) == 1 else "",
        distilled_by=SOFTWARE,
        headline=headline,
        rival=rival,
        arms=tuple(run.arm() for run in runs),
        charges=tuple(charges),
        reported=_reported(charges),
        searched=f"the files of {len(runs)} run{'' if len(runs) == 1 else 's'}",
        glossary=PER_RUN,
        findings=(*findings, *(finding for run in runs for finding in run.findings)),
        notes=tuple(dict.fromkeys([*notes, *(note for run in runs for note in run.notes)])),
    )


def _reported(charges: Sequence[Charge]) -> dict[str, Source | None]:
    """Which kinds of compute the files state of every run; of FLOPs an estimate does not count as stated."""
    trained = [charge for charge in charges if charge.operation != "none"]

    def stated(*currencies: Currency) -> Source | None:
        known = [any(c.cost.amount(u) is not None and u not in c.estimated for u in currencies) for c in trained]
        return trained[0].source.model_copy(update={"note": ""}) if known and all(known) else None

    kinds = (
        (Currency.UPDATES,),
        (Currency.TOKENS_REAL, Currency.TOKENS_PADDED),
        (Currency.FLOPS,),
        (Currency.SECONDS,),
    )
    return {kind: stated(*currencies) for kind, currencies in zip(REPORTED, kinds, strict=True)}


def distinct(files: Sequence[str], skip: int = 0) -> list[str]:
    """A short name for each file: its stem, or the last folders of its path (``skip``: without so many parts of its
    end), with as much in front as tells all of them apart. Names are in the order of the files."""
    parts = [[part for part in (*PurePosixPath(f).parts[:-1], PurePosixPath(f).stem) if part != "."] for f in files]
    parts = [part[: len(part) - skip] or part for part in parts]
    for keep in range(1, max((len(part) for part in parts), default=1) + 1):
        names = ["/".join(part[-keep:]) for part in parts]
        if len(set(names)) == len(names):
            return [name if name != "frozen" else f"{name} run" for name in names]
    return [f"{name} {number}" for number, name in enumerate(files, start=1)]
