"""Finding a method: by name, from the entry points of the group ``netgain.methods``, or in a user's own file.

The built-in methods are registered in the same group; the table below holds them as well, so that they are found where
an installation is older than its source.
"""

import importlib
import importlib.util
import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from netgain.errors import InputError, nearest
from netgain.methods.method import Method
from netgain.records.identity import short_hash

GROUP = "netgain.methods"
BUILT_IN = {
    "frozen": "netgain.methods.baselines:Frozen",
    "in-context": "netgain.methods.baselines:InContext",
    "majority": "netgain.methods.baselines:Majority",
    "finetune": "netgain.methods.finetune:Finetune",
    "conventional": "netgain.methods.finetune:Conventional",
    "synthetic": "netgain.methods.synthetic:Synthetic",
    "rejection": "netgain.methods.rejection:Rejection",
    "teacher": "netgain.methods.taught:Taught",
    "entity-pairs": "netgain.methods.entity_pairs:EntityPairs",
    "distillation": "netgain.methods.distillation:Distillation",
    "seal": "netgain.methods.seal:Seal",
    "reinforce": "netgain.methods.reinforce:Reinforce",
}


def names() -> list[str]:
    """The names of all methods that are installed, sorted."""
    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})


def find_method(name: str) -> type[Method]:
    """The method of this name, or the class in ``file.py:Class``. Raises InputError with the nearest name."""
    if ".py:" in name:
        return load_file(name)
    key = name.replace("_", "-")
    if key in BUILT_IN:
        return _class(BUILT_IN[key], f"method {name!r}")
    for entry in entry_points(group=GROUP):
        if entry.name in (name, key):
            return _class(entry.value, f"method {name!r}")
    raise InputError(f"method {name!r}", "is not installed", nearest(key, names()))


def load_file(place: str) -> type[Method]:
    """The class in a user's own file: ``folder/file.py:Class``. Raises InputError for whatever is wrong with it."""
    file, _, wanted = place.rpartition(":")
    path = Path(file)
    if not path.is_file() or not wanted:
        raise InputError(f"method {place!r}", "there is no such file", "write file.py:Class")
    name = f"netgain_user_{short_hash(str(path.resolve()))}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"method {place!r}", "is no Python file", "write file.py:Class")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where annotations and pickles look it up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file raises
        raise InputError(str(path), f"cannot be run: {type(error).__name__}: {error}") from error
    return _checked(module, wanted, str(path))


def _class(place: str, where: str) -> type[Method]:
    module, _, wanted = place.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        raise InputError(where, f"its module {module} cannot be imported: {error}") from error
    return _checked(loaded, wanted, where)


def _checked(module: ModuleType, wanted: str, where: str) -> type[Method]:
    found: Any = getattr(module, wanted, None)
    own = [name for name, one in vars(module).items() if inspect.isclass(one) and issubclass(one, Method)]
    if found is None:
        raise InputError(where, f"has no class {wanted!r}", nearest(wanted, own))
    if not (inspect.isclass(found) and issubclass(found, Method)):
        raise InputError(where, f"{wanted} is no netgain Method", "derive it from netgain.methods.method.Method")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise InputError(where, f"{wanted} does not fill in {missing}")
    if not isinstance(getattr(found, "role", None), str):
        raise InputError(where, f"{wanted} has no role", "set role = Role.OTHER, or another, in the class")
    return found
