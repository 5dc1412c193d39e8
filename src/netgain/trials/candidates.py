"""What an arm tries in tuning: the settings as given first, then others drawn from its grid, none of them twice.

The draw is the domain's: arms with one grid try the same settings, so that none of them is luckier in what it tries.
"""

from collections.abc import Mapping
from typing import Any

from netgain.methods.method import Settings
from netgain.records.identity import canonical
from netgain.streams import stream
from netgain.trials.narrow import Arm
from netgain.trials.spec import TrialSpec


def candidates(spec: TrialSpec, domain: str, arm: Arm) -> list[dict[str, Any]]:
    """What this arm changes in its settings in each of its tuning trials; nothing in the first."""
    if not arm.grid or not spec.tuning.trials:
        return []
    given = arm.settings.model_dump(mode="json")
    shape = type(arm.settings)
    seen = {canonical(given)}
    others = []
    for number in stream(spec.seed, "tune", domain).permutation(len(arm.grid)):
        changes = arm.grid[int(number)]
        same = canonical(changed(arm.settings, changes).model_dump(mode="json"))
        if same not in seen:
            seen.add(same)
            others.append(changes)
    names = list(dict.fromkeys(name for changes in arm.grid for name in changes))
    as_given = {name: getattr(shape.model_validate(arm.settings.model_dump()), name) for name in names}
    return [as_given, *others][: spec.tuning.trials]


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """These settings with some of them changed, validated anew."""
    return type(settings).model_validate(settings.model_dump() | dict(changes))
