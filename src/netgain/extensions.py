"""Extensions: one lookup for methods, domains and readers.

A name means a class that ships with netgain (``BUILT_IN``), one that an installed package registers as an entry point
of the group ``netgain.methods``, ``netgain.domains`` or ``netgain.readers``, or, as ``file.py:Class``, one in a file of
your own. Built-in classes are named here as text, so that listing them imports nothing and no room depends on another.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from netgain.errors import InputError, Terminated, nearest, shown
from netgain.records.identity import canonical, digest, short_hash

Kind = Literal["method", "domain", "reader"]

FORMS: Mapping[Kind, str] = {
    "method": "netgain.methods.method:Method",
    "domain": "netgain.domains.domain:Domain",
    "reader": "netgain.audit.audit:Reader",
}
BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    "method": {
        "frozen": "netgain.methods.baselines:Frozen",
        "in-context": "netgain.methods.baselines:InContext",
        "majority": "netgain.methods.baselines:Majority",
        "finetune": "netgain.methods.finetune:Finetune",
        "conventional": "netgain.methods.finetune:Conventional",
        "rl-conventional": "netgain.methods.conventional_rl:ConventionalRl",
        "synthetic": "netgain.methods.synthetic:Synthetic",
        "rejection": "netgain.methods.rejection:Rejection",
        "self-consistency": "netgain.methods.rejection:SelfConsistency",
        "teacher": "netgain.methods.taught:Taught",
        "entity-pairs": "netgain.methods.entity_pairs:EntityPairs",
        "distillation": "netgain.methods.distillation:Distillation",
        "test-time-training": "netgain.methods.few_shot_training:FewShotTraining",
        "random-settings": "netgain.methods.few_shot_training:RandomSettings",
        "best-settings": "netgain.methods.few_shot_training:BestSettings",
        "oracle-settings": "netgain.methods.few_shot_training:OracleSettings",
        "settings-search": "netgain.methods.settings_search:SettingsSearch",
        "seal": "netgain.methods.seal:Seal",
        "reinforce": "netgain.methods.reinforce:Reinforce",
        "grpo": "netgain.methods.gradient_loops:Grpo",
        "rloo": "netgain.methods.gradient_loops:Rloo",
        "ppo": "netgain.methods.gradient_loops:Ppo",
        "supervised-writer": "netgain.methods.trained_writers:SupervisedWriter",
        "sharpened-writer": "netgain.methods.trained_writers:Sharpened",
        "script": "netgain.methods.script:Script",
        "learning-script": "netgain.methods.script:LearningScript",
    },
    "domain": {
        "arc": "netgain.domains.arc:Arc",
        "grids": "netgain.domains.grids:Grids",
        "passages": "netgain.domains.passages:Passages",
        "people": "netgain.domains.people:People",
        "squad": "netgain.domains.squad:Squad",
    },
    "reader": {
        "algoperf": "netgain.audit.runs.algoperf_reader:AlgoperfReader",
        "csv": "netgain.audit.runs.csv_reader:CsvReader",
        "every-eval-ever": "netgain.audit.runs.every_eval_reader:EveryEvalReader",
        "inspect": "netgain.audit.runs.inspect_reader:InspectReader",
        "llama-factory": "netgain.audit.runs.llama_factory_reader:LlamaFactoryReader",
        "lm-eval": "netgain.audit.runs.lm_eval_reader:LmEvalReader",
        "mlflow": "netgain.audit.runs.mlflow_reader:MlflowReader",
        "peft": "netgain.audit.runs.peft_reader:PeftReader",
        "rasbt": "netgain.audit.runs.rasbt_reader:RasbtReader",
        "seal": "netgain.audit.seal.seal_reader:SealReader",
        "tensorboard": "netgain.audit.runs.tensorboard_reader:TensorboardReader",
        "trackio": "netgain.audit.runs.trackio_reader:TrackioReader",
        "trainer": "netgain.audit.runs.trainer_reader:TrainerReader",
        "wandb": "netgain.audit.runs.wandb_reader:WandbReader",
    },
}


def group(kind: Kind) -> str:
    """The entry-point group in which packages register extensions of this kind."""
    return f"netgain.{kind}s"


def names(kind: Kind) -> list[str]:
    """The names of everything of this kind that ships or is installed, sorted."""
    return sorted({*BUILT_IN[kind], *(entry.name for entry in entry_points(group=group(kind)))})


def listing(kind: Kind) -> list[tuple[str, str]]:
    """The name of everything of this kind with the first line of its docstring; why, where it cannot be imported."""
    lines = []
    for name in names(kind):
        try:
            text = inspect.getdoc(find(kind, name)) or ""
        except InputError as error:
            text = error.problem
        lines.append((name, text.partition("\n")[0]))
    return lines


def find(kind: Kind, name: str, folder: Path | None = None) -> type[Any]:
    """The class of this name; ``folder`` is what the path in ``file.py:Class`` is relative to (None: where we are).

    Underscores may stand for hyphens. Raises InputError, with the nearest valid word, for a name that is not known and
    for a class that does not fill in its form.
    """
    if is_file(name):
        return _from_file(kind, name, folder or Path())
    key = name.replace("_", "-")
    target = BUILT_IN[kind].get(key) or _installed(kind, name, key)  # asking what is installed reads every package
    if target is None:
        raise InputError(f"{kind} {name!r}", "is not installed", nearest(key, names(kind)))
    return _load(kind, target, f"{kind} {name!r}")


def _installed(kind: Kind, *wanted: str) -> str | None:
    """What an installed package registers under the first of these names that there is."""
    installed = {entry.name: entry.value for entry in entry_points(group=group(kind))}
    return next((installed[name] for name in wanted if name in installed), None)


def find_method(name: str, folder: Path | None = None) -> type[Any]:
    """The method of this name: a subclass of :class:`netgain.methods.Method`. Raises InputError as :func:`find`."""
    return find("method", name, folder)


def find_domain(name: str, folder: Path | None = None) -> type[Any]:
    """The domain of this name: a subclass of :class:`netgain.domains.Domain`. Raises InputError as :func:`find`."""
    return find("domain", name, folder)


def is_file(name: str) -> bool:
    """Whether a name is of the form ``file.py:Class``."""
    return ".py:" in name


def relative_to(name: str, folder: Path) -> str:
    """``file.py:Class``, as given on the command line, as it would be written in a file that lies in ``folder``."""
    if not is_file(name):
        return name
    file, _, wanted = name.rpartition(":")
    path = Path(file).absolute()
    inside = path.is_relative_to(folder.absolute())
    return f"{path.relative_to(folder.absolute()) if inside else path}:{wanted}"


def source_digest(found: type[Any]) -> str:
    """A digest of the file that a user's class is written in, for a run's identity; empty for what ships."""
    if found.__module__.split(".")[0] == "netgain":
        return ""
    text = Path(inspect.getfile(found)).read_bytes().decode("utf-8", "backslashreplace")
    return digest("method", text)


def files_digest(files: Sequence[Path]) -> str:
    """A digest of those of these files that are there; empty where none is."""
    found = [path.read_bytes().decode("utf-8", "backslashreplace") for path in files if path.is_file()]
    return digest("script", canonical(found)) if found else ""


def where_raised(error: Exception, *classes: type[Any]) -> str:
    """``file:line`` where an error left the files of these classes: the last call in one of them, else the last of all.

    What a user has to mend is the line of their own that called something wrongly, not the library that noticed.
    """
    files = {inspect.getfile(one) for one in classes}
    frames = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(frames) if frame.filename in files), frames[-1])
    path = Path(last.filename)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{last.lineno}"


def said_by(error: Exception) -> str:
    """An error's kind and what it says, of many mistakes the first."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{error.title}: " + (f"field {place!r}: {first['msg']}" if place else first["msg"])
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _load(kind: Kind, target: str, where: str) -> type[Any]:
    module, _, wanted = target.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        raise InputError(where, f"its module {module} cannot be imported: {error}") from error
    return _checked(kind, loaded, wanted, where)


def _from_file(kind: Kind, name: str, folder: Path) -> type[Any]:
    file, _, wanted = name.rpartition(":")
    path = folder / file
    try:
        there = path.is_file()
    except OSError as error:
        raise InputError(f"{kind} {shown(name)}", f"no file can be looked for: {error.strerror}") from None
    if not there or not wanted:
        raise InputError(f"{kind} {name!r}", f"there is no file {path}", "write file.py:Class")
    # The name under which annotations and pickles look the module up: one for each file, however it is written.
    unique = f"netgain_user_{short_hash(str(path.resolve()))}_{path.stem}"
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{kind} {name!r}", f"{path} is not a Python file", "write file.py:Class")
    module = sys.modules[unique] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (KeyboardInterrupt, MemoryError, Terminated):
        raise
    except BaseException as error:  # whatever a user's file raises, were it to end the process
        raise InputError(str(path), f"cannot be run: {type(error).__name__}: {error}") from error
    return _checked(kind, module, wanted, str(path))


def _checked(kind: Kind, module: ModuleType, wanted: str, where: str) -> type[Any]:
    """The class of this name, once it is known to fill in the form of its kind."""
    home, _, title = FORMS[kind].partition(":")
    form: type[Any] = vars(importlib.import_module(home))[title]
    classes = [
        value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    own = [value.__name__ for value in classes if issubclass(value, form)]
    if wanted not in vars(module):
        raise InputError(where, f"has no class {wanted!r}", nearest(wanted, own))
    found = vars(module)[wanted]
    if not (inspect.isclass(found) and issubclass(found, form)):
        raise InputError(
            where, f"{wanted} is not a netgain {title}", f"derive it from {home.rpartition('.')[0]}.{title}"
        )
    missing = sorted(vars(found)["__abstractmethods__"])
    if missing:
        raise InputError(where, f"{wanted} does not define {', '.join(missing)}")
    for name, annotation in inspect.get_annotations(form).items():
        origin: Any = get_origin(annotation)
        if origin is ClassVar and not any(name in vars(base) for base in found.__mro__):
            raise InputError(where, f"{wanted} does not set {name}", f"see the docstring of {title} for its values")
        if origin is ClassVar:
            _check_kind(
                next(vars(base)[name] for base in found.__mro__ if name in vars(base)),
                annotation,
                f"{wanted}.{name}",
                where,
            )
    return found


def _check_kind(value: object, annotation: Any, name: str, where: str) -> None:
    """What a class sets is of the kind that its form says, before anybody relies on it."""
    try:
        TypeAdapter(get_args(annotation)[0]).validate_python(value, strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]["msg"]
        raise InputError(where, f"{name} = {shown(value)}: {wrong}", "see the docstring of its base class") from None
