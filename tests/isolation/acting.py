"""Methods of a user's own, honest and otherwise, each under the name that its setting gives; loaded in a process of its
own by the tests of docs/security.md. Nothing here is imported by a test."""

# Written as users write.
# ruff: noqa: ANN001, ANN002, ANN201, ANN202, S112, PTH123
# mypy: ignore-errors

import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from netgain.engine.jobs import InnerLoopJob
from netgain.metering.account import Book
from netgain.methods import Answerer, Learning, Method, Question, Role, ask, together
from netgain.model.requests import Generate, Score, Train
from netgain.records.cost import Cost, Purpose


class ActingSettings(Learning):
    does: str = "honest"
    at: str = ""


def write(desk, text, account=None):
    return Generate(account=account or desk.pay(Purpose.PROPOSE), prompt=f"List what follows from: {text}")


def train(desk, texts, account=None):
    sequences = [desk.model.tokenize(text) if isinstance(text, str) else text for text in texts]
    job = InnerLoopJob(key="own", sequences=sequences, epochs=1, learning_rate=1e-3, seed=desk.draw("job"))
    return Train(account=account or desk.pay(Purpose.ADAPT), job=job)


def honest(desk, materials, at):
    (written,) = yield from ask(desk.model, [write(desk, materials[0].text)])
    (trained,) = yield from ask(desk.model, [train(desk, [written.get().text, materials[0].text])])
    return Answerer(model=desk.model, adapter=trained.get().adapter)


def trained_on(*texts):
    def act(desk, materials, at):
        (trained,) = yield from ask(desk.model, [train(desk, texts)])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    return act


def hang(desk, materials, at):
    yield from ()
    while True:
        time.sleep(0.01)


def loop(desk, materials, at):
    while True:
        yield []


def ask_for_ever(desk, materials, at):
    yield from ()
    while True:
        desk.model.tokenize(str(time.time()))


def insist(desk, materials, at):
    while True:
        try:
            yield from ask(desk.model, [write(desk, "x")])
        except Exception:
            continue


def leave(act):
    def acts(desk, materials, at):
        yield from honest(desk, materials, at)
        act(at)
        return Answerer(model=desk.model)

    return acts


def segfault(at):
    ctypes.string_at(0)


def compute(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


def in_thread(at):
    worker = threading.Thread(target=compute, args=(0.5,))
    worker.start()
    worker.join()


def in_subprocess(at):
    code = "import time\nwhile time.process_time() < 0.5: sum(range(1000))"
    subprocess.run([sys.executable, "-c", code], check=False)


def orphaned(at):
    """A process that is not waited for, in a session of its own, whose parent is gone."""
    done = Path(os.environ["TMPDIR"]) / "done"
    code = (
        "import os, pathlib, time\nif os.fork(): os._exit(0)\nos.setsid()\n"
        f"while time.process_time() < 0.5: sum(range(1000))\npathlib.Path({str(done)!r}).touch()"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    while not done.exists():
        time.sleep(0.01)


def search(desk, materials, at):
    """Everything of this process, by the garbage collector and by the frames below this one."""
    frame = sys._getframe()
    found = [one for one in gc.get_objects() if isinstance(one, Question)]
    names = set()
    while frame is not None:
        names |= set(frame.f_locals)
        found += [one for one in frame.f_locals.values() if isinstance(one, Question)]
        frame = frame.f_back
    assert not found, found
    assert not {"evaluation", "context", "domain", "guard", "programs"} & names, names
    return (yield from honest(desk, materials, at))


def patch(desk, materials, at):
    """The grader, the prices, the book, the guard and the exam, wherever they are imported."""
    for name, module in list(sys.modules.items()):
        if name.startswith("netgain.") and name.rpartition(".")[2] in ("grading", "price", "account", "guard", "exam"):
            for key, value in list(vars(module).items()):
                if callable(value) and not isinstance(value, type):
                    setattr(module, key, lambda *_, **__: None)
    Book._record = lambda *_, **__: range(1)
    yield from ()
    return Answerer(model=desk.model)


def patch_prices(desk, materials, at):
    """Everything costs nothing, as far as this process is concerned, and the budget has no end."""
    prices = type(desk.model._Model__prices)
    prices.cost = lambda self, part: Cost.zero()
    object.__setattr__(desk.account.opened, "limit", Cost())
    type(desk.account).remaining = lambda self: {}
    for _ in range(20):
        (result,) = yield from ask(desk.model, [train(desk, [materials[0].text])])
    return Answerer(model=desk.model, adapter=result.get().adapter)


def cut_title(desk, materials, at):
    """A question as token ids, the name in it cut in two."""
    head, tail = at[: len(at) // 2], at[len(at) // 2 :]
    tokens = [*desk.model.tokenize(head), *desk.model.tokenize(" "), *desk.model.tokenize(tail)]
    (trained,) = yield from ask(desk.model, [train(desk, [tokens])])
    return Answerer(model=desk.model, adapter=trained.get().adapter)


def dictate(desk, materials, at):
    """Have the model write a question, and train on what it wrote."""
    (written,) = yield from ask(desk.model, [write(desk, at)])
    (trained,) = yield from ask(desk.model, [train(desk, [written.get().text])])
    return Answerer(model=desk.model, adapter=trained.get().adapter)


def change_prompts(desk, materials, at):
    object.__setattr__(desk.prompts, "closed", f"{materials[0].text}\nQ: {{question}}")
    yield from ()
    return Answerer(model=desk.model)


def elsewhere(desk, materials, at):
    yield from ()
    return Answerer(model=desk.model, adapter=desk.model.load_adapter(at))


def second_book(desk, materials, at):
    with Book.open(Path(os.environ["TMPDIR"]) / "own") as book:
        account = book.account("own", purpose=Purpose.ADAPT)
        yield from ask(desk.model, [train(desk, ["x"], account)])
    return Answerer(model=desk.model)


def direct(desk, materials, at):
    desk.model.train([train(desk, ["x"])])
    yield from ()
    return Answerer(model=desk.model)


def backend(desk, materials, at):
    inside = desk.model._Model__backend
    list(inside.run([train(desk, ["x"])], 1))
    yield from ()
    return Answerer(model=desk.model)


def root_account(desk, materials, at):
    account = desk.account.book.account("mine", purpose=Purpose.ADAPT)
    yield from ask(desk.model, [write(desk, "x", account)])
    return Answerer(model=desk.model)


def foreign_account(desk, materials, at):
    account = type(desk.account)(desk.account.book, int(at), desk.account.opened)
    yield from ask(desk.model, [write(desk, "x", account)])
    return Answerer(model=desk.model)


def weights(desk, materials, at):
    for one in gc.get_objects():
        assert type(one).__name__ not in ("HuggingFaceModel", "_Scripted", "Tensor")
    return (yield from honest(desk, materials, at))


def remove(desk, materials, at):
    yield from ()
    shutil.rmtree(at)
    return Answerer(model=desk.model)


def overwrite(desk, materials, at):
    yield from ()
    Path(at).write_text("{}")
    return Answerer(model=desk.model)


def look(desk, materials, at):
    yield from ()
    Path(at).read_text()
    return Answerer(model=desk.model)


def move(desk, materials, at):
    os.chdir("/")
    return (yield from honest(desk, materials, at))


def kill(desk, materials, at):
    os.kill(int(at), signal.SIGTERM)
    yield from ()
    return Answerer(model=desk.model)


def read_memory(desk, materials, at):
    with open(f"/proc/{at}/mem", "rb") as memory:
        memory.read(1)
    yield from ()
    return Answerer(model=desk.model)


def raw(message):
    """Send the harness bytes of one's own making."""

    def act(desk, materials, at):
        yield from ()
        link = desk.account.book._harness.link
        link.sendall(message)
        time.sleep(5)

    return act


def several(desk, materials, at):
    """Everything that a desk offers, side by side."""
    one, two = desk.at("one"), desk.at("two")
    texts = yield from together([desk.teacher.write(one, materials[0], 2), desk.teacher.write(two, materials[0], 1)])
    assert [len(part) for part in texts] == [2, 1]
    assert desk.grade(Question("?", ("r",)), "r").exact
    (scored,) = yield from ask(
        desk.model, [Score(account=desk.pay(Purpose.SCORE), prompt="x", continuation=desk.model.tokenize("y"))]
    )
    assert scored.get().greedy
    desk.note("seen", {"n": [1, 2.5, None]})
    before = desk.left()
    paid = desk.pay(Purpose.TEACH).reserve("own work", scored.cost, {"how": "declared"})
    paid.settle(scored.cost)
    assert desk.left() == before - 1
    assert desk.account.spent(desk.currency) + desk.left() == desk.account.opened.limit.flops
    (charge, *_) = [one for one in desk.account.book.charges() if one.reservation == paid.row]
    assert charge.operation == "own work"
    assert desk.account.holds(charge)
    desk.account.book.discard([paid.row], "tried")
    assert desk.model.quote([write(desk, "x")])[0].flops == 1
    assert desk.model.shown("x") == "x"
    assert desk.model.digest.startswith("sha256:")
    assert (desk.model.name, desk.model.ends, desk.model.templated, desk.model.shape) == ("scripted", (), False, None)
    return (yield from honest(desk, materials, at))


def examples(desk, materials, at):
    """What a domain of examples offers."""
    few = desk.few_shot
    assert (dict(few.tools), few.attempts) == ({"turn": "turned round"}, 2)
    (lesson,) = few.lessons(materials[0], ["turn"], 3)
    assert (lesson.prompt, lesson.answer) == (materials[0].text, "turn 3")
    (held,) = few.held_out(materials[0])
    assert held.questions[0].answers == ("held",)
    plain, turned = few.views(held.questions[0])
    assert (plain.undo("abc"), turned.undo("abc"), turned.category) == ("abc", "cba", "turned")
    assert few.elect(held.questions[0], [("", "a"), ("turned", "b"), ("", "b")]) == ("b", "a")
    assert few.shown("x>y") == (("x", "y"),)
    assert few.forms("ab") == ("ab", "ba")
    (trained,) = yield from ask(desk.model, [train(desk, [lesson.prompt])])
    return Answerer(model=desk.model, adapter=trained.get().adapter)


ACTS = {
    "examples": examples,
    "honest": honest,
    "hang": hang,
    "loop": loop,
    "ask for ever": ask_for_ever,
    "insist": insist,
    "abort": leave(lambda at: os.abort()),
    "segfault": leave(segfault),
    "exit": leave(lambda at: sys.exit(0)),
    "exit at once": leave(lambda at: os._exit(0)),
    "interrupt": leave(lambda at: signal.raise_signal(signal.SIGINT)),
    "compute": leave(lambda at: compute(0.5)),
    "thread": leave(in_thread),
    "subprocess": leave(in_subprocess),
    "orphan": leave(orphaned),
    "search": search,
    "patch": patch,
    "prices": patch_prices,
    "cut": cut_title,
    "dictate": dictate,
    "prompts": change_prompts,
    "load": elsewhere,
    "second book": second_book,
    "direct": direct,
    "backend": backend,
    "root account": root_account,
    "foreign account": foreign_account,
    "weights": weights,
    "remove": remove,
    "overwrite": overwrite,
    "look": look,
    "move": move,
    "kill": kill,
    "memory": read_memory,
    "garbage": raw(b"\xff" * 64),
    "no json": raw(b"\0" * 7 + b"\x02{]"),
    "unknown": raw(b"\0" * 7 + b"\x02{}"),
    "several": several,
    "raise": leave(lambda at: {}["no such key"]),
    "nothing": leave(lambda at: None),
}


class Acting(Method):
    """Does what its setting says."""

    role = Role.OTHER
    Settings = ActingSettings

    def adapt(self, desk, materials, learned):
        if self.settings.does == "return":
            yield from ()
            return "an answer"
        if self.settings.does == "text":
            return (yield from trained_on(self.settings.at)(desk, materials, ""))
        return (yield from ACTS[self.settings.does](desk, materials, self.settings.at))


class NoSteps(Method):
    """Returns at once."""

    role = Role.OTHER

    def adapt(self, desk, materials, learned):
        return Answerer(model=desk.model)


class Remembering(Method):
    """Learns something that lies in its own memory, and uses it."""

    role = Role.SELF_IMPROVING
    learns = True
    Settings = ActingSettings

    def learn(self, desk, problems):
        self.kept = lambda material: f"{problems[0].material.title}: {material.text}"
        results = yield from ask(desk.model, [train(desk, ["x"], desk.pay(Purpose.LEARN))])
        if self.settings.does == "merge":
            return (yield from self.merged(desk, results[0].get().adapter))
        return {"adapter": results[0].get().adapter, "of": self}

    def merged(self, desk, adapter):
        from netgain.methods import merged

        return (yield from merged(desk, Answerer(model=desk.model, adapter=adapter)))

    def adapt(self, desk, materials, learned):
        if self.settings.does == "merge":
            return Answerer(model=learned)
        assert learned["of"] is self
        text = self.kept(materials[0])
        (trained,) = yield from ask(desk.model, [train(desk, [text])])
        return Answerer(model=desk.model, adapter=trained.get().adapter)
