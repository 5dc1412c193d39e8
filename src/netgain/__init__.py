"""netgain: how much of a self-improving language model's gain is left once every method gets the same compute?

The public names below are imported when they are first used, so that ``import netgain`` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netgain.errors import TRAINING_PACKAGES, BudgetExceeded, InputError, MissingExtraError, NetgainError

if TYPE_CHECKING:
    from netgain.analysis.judge import judge
    from netgain.analysis.verdict import Verdict
    from netgain.api import Run, plan, register, run
    from netgain.audit.audit import audit as audit_claim
    from netgain.audit.audit import read_claim
    from netgain.metering.account import Book
    from netgain.metering.shape import ModelShape, find_shape
    from netgain.model.callback import MeterCallback
    from netgain.model.meter import meter
    from netgain.model.script_task import task
    from netgain.records.claim import Claim
    from netgain.records.cost import Cost, Currency, Purpose
    from netgain.report.page import render

__version__ = "0.1.0"
SOFTWARE = f"netgain {__version__}"  # as records name it

_HOMES = {
    "Book": ("netgain.metering.account", "Book"),
    "Claim": ("netgain.records.claim", "Claim"),
    "Cost": ("netgain.records.cost", "Cost"),
    "Currency": ("netgain.records.cost", "Currency"),
    "MeterCallback": ("netgain.model.callback", "MeterCallback"),
    "ModelShape": ("netgain.metering.shape", "ModelShape"),
    "Purpose": ("netgain.records.cost", "Purpose"),
    "Run": ("netgain.api", "Run"),
    "Verdict": ("netgain.analysis.verdict", "Verdict"),
    "audit_claim": ("netgain.audit.audit", "audit"),
    "find_shape": ("netgain.metering.shape", "find_shape"),
    "judge": ("netgain.analysis.judge", "judge"),
    "meter": ("netgain.model.meter", "meter"),
    "plan": ("netgain.api", "plan"),
    "read_claim": ("netgain.audit.audit", "read_claim"),
    "register": ("netgain.api", "register"),
    "render": ("netgain.report.page", "render"),
    "run": ("netgain.api", "run"),
    "task": ("netgain.model.script_task", "task"),
}

__all__ = [  # noqa: RUF022 - sorted; the version last
    "Book",
    "BudgetExceeded",
    "Claim",
    "Cost",
    "Currency",
    "InputError",
    "MeterCallback",
    "MissingExtraError",
    "ModelShape",
    "NetgainError",
    "Purpose",
    "Run",
    "Verdict",
    "audit_claim",
    "find_shape",
    "judge",
    "meter",
    "plan",
    "read_claim",
    "register",
    "render",
    "run",
    "task",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netgain' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as missing:
        if missing.name in TRAINING_PACKAGES:
            raise MissingExtraError(f"netgain.{name}", "train") from missing
        raise
