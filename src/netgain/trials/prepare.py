"""From a file and a few options to a plan or to something that can be launched."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import final

import numpy as np

from netgain.errors import InputError, MissingExtraError
from netgain.metering.estimate import Device, find_device, shape_of
from netgain.metering.rates import DEVICE_RATES, DeviceRate
from netgain.metering.shape import ModelShape
from netgain.model.prices import TokenPrices
from netgain.strict_yaml import SourceLines
from netgain.tokens import EstimatedTokens, ExactTokens, TokenCounter
from netgain.trials.narrow import FindDomain, FindMethod, Trial, check_problems, narrow, read_trial
from netgain.trials.plan import Lengths, Plan, measured, plan
from netgain.trials.spec import TrialSpec
from netgain.trials.work import FOLDER, SHIPPED

CPU_SHARE = 0.6  # of the speed of large matrix products: what packs of inner loops reach (NOTEBOOK.md)


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A trial as it was asked for, every word of it checked; its data has not been read."""

    spec: TrialSpec
    places: SourceLines
    find_method: FindMethod
    find_domain: FindDomain

    def trial(self, *, data: bool) -> Trial:
        """The trial, with its domains' data where ``data``."""
        return narrow(self.spec, self.places, self.find_method, self.find_domain, data=data)


def ask(
    path: Path | None,
    methods: Sequence[str],
    find_method: FindMethod,
    find_domain: FindDomain,
    *,
    options: Sequence[str] = (),
    limit: int | None = None,
) -> Asked:
    """Read a trial (None: the packaged demo) and check its words. Raises InputError with the line of what is wrong.

    ``options`` (``a.b=value``) stand in place of the file's fields; at most ``limit`` test problems are examined.
    """
    source = Path(str(files("netgain.trials") / "demo.yaml")) if path is None else path
    if not source.is_file():
        raise InputError(str(source), "there is no such file", "give the YAML file of a trial")
    spec, places = read_trial(source, methods, options)
    asked = Asked(spec if limit is None else spec.limited(limit), places, find_method, find_domain)
    asked.trial(data=False)
    return asked


def make_plan(asked: Asked, device: str | None, dollars: float | None) -> Plan:
    """The plan of a trial on a device by name (``cpu``: this machine; None: the CPU for the shipped model, else an
    H100), at these dollars an hour (None: a typical price). Data that cannot be read is taken to be typical."""
    spec = asked.spec
    name = device or ("cpu" if spec.model == SHIPPED else "H100")
    chosen = this_cpu() if name == "cpu" else find_device(name)
    rate = DEVICE_RATES.get(chosen.name, DeviceRate(0.0, "this machine is taken to be yours already"))
    rate = rate if dollars is None else DeviceRate(dollars, "as stated")
    source = FOLDER if spec.model == SHIPPED else Path(spec.model)
    shape = shape_of(source if source.exists() else spec.model)
    return plan(asked.trial(data=False), shape, chosen, rate, _lengths(asked, _counter(source)), _judge(spec))


def _judge(spec: TrialSpec) -> ModelShape | TokenPrices | None:
    """What the judge is priced by; a model of unknown shape by nothing, so that its tokens alone are counted."""
    if spec.judge is None:
        return None
    try:
        if "url" in spec.judge:
            return TokenPrices(**spec.judge.get("prices", {}))
        return shape_of(spec.judge["model"])
    except TypeError as problem:
        raise InputError("judge", f"has prices with a field that is not known ({problem})") from None
    except InputError:
        return TokenPrices()


def _lengths(asked: Asked, counter: TokenCounter) -> dict[str, Lengths]:
    try:
        trial = asked.trial(data=True)
    except (InputError, MissingExtraError) as error:
        how = f"typical of SQuAD, for the data cannot be read here: {error}"
        return {name: Lengths(how=how) for name in asked.spec.domains}
    check_problems(trial, asked.places)
    return {name: measured(domain, asked.spec, counter) for name, domain in trial.domains.items()}


def _counter(folder: Path) -> TokenCounter:
    try:
        return ExactTokens(folder) if (folder / "tokenizer.json").is_file() else EstimatedTokens()
    except (InputError, MissingExtraError):
        return EstimatedTokens()


def this_cpu() -> Device:
    """This machine, its speed measured on a product of two matrices."""
    left = np.ones((768, 768), dtype=np.float32)
    _ = left @ left
    started = time.perf_counter()
    for _ in range(4):
        _ = left @ left
    flops = 4 * 2 * 768.0**3 / max(1e-9, time.perf_counter() - started)
    source = "measured now on a matrix product"
    return Device("this CPU", flops, 1e10, 1e12, source, utilisation=CPU_SHARE)
