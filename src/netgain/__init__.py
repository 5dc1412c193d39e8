"""netgain: how much of a self-improving language model's gain is left once every method gets the same compute?

The public names below are imported when they are first used, so that ``import netgain`` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netgain.analysis.judge import judge
    from netgain.analysis.verdict import Verdict
    from netgain.audit.audit import audit as audit_claim
    from netgain.audit.audit import read_claim
    from netgain.errors import InputError, MissingExtraError, NetgainError
    from netgain.metering.shape import ModelShape, find_shape
    from netgain.records.claim import Claim
    from netgain.records.cost import Cost, Currency
    from netgain.report.page import render

__version__ = "0.1.0"

_HOMES = {
    "Claim": ("netgain.records.claim", "Claim"),
    "Cost": ("netgain.records.cost", "Cost"),
    "Currency": ("netgain.records.cost", "Currency"),
    "InputError": ("netgain.errors", "InputError"),
    "MissingExtraError": ("netgain.errors", "MissingExtraError"),
    "ModelShape": ("netgain.metering.shape", "ModelShape"),
    "NetgainError": ("netgain.errors", "NetgainError"),
    "Verdict": ("netgain.analysis.verdict", "Verdict"),
    "audit_claim": ("netgain.audit.audit", "audit"),
    "find_shape": ("netgain.metering.shape", "find_shape"),
    "judge": ("netgain.analysis.judge", "judge"),
    "read_claim": ("netgain.audit.audit", "read_claim"),
    "render": ("netgain.report.page", "render"),
}

__all__ = [  # noqa: RUF022 - sorted; the version last
    "Claim",
    "Cost",
    "Currency",
    "InputError",
    "MissingExtraError",
    "ModelShape",
    "NetgainError",
    "Verdict",
    "audit_claim",
    "find_shape",
    "judge",
    "read_claim",
    "render",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netgain' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
