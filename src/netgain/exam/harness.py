"""lm-eval's tasks put to a metered model: what it could do before, by the measures of the field.

The harness (EleutherAI's lm-evaluation-harness, the extra ``lm-eval``) asks through the one door, so that its work is
quoted, reserved and booked like an exam's. Prompts reach the model as a task writes them, without a chat template.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, final

from netgain.errors import InputError, MissingExtraError, nearest
from netgain.exam.drift import windows
from netgain.exam.exam import Answerer
from netgain.metering.account import Account
from netgain.model.requests import Answered, Generate, Result, Score, Scored
from netgain.records.measurements import Ability

P = TypeVar("P")
EXTRA = "lm-eval"
MOST_TOKENS = 256  # of an answer, where a task does not say


@final
class Harness:
    """Some of lm-eval's tasks, its own and those of ``include_path`` (a folder of YAML files), ``limit`` documents each
    (None: all), with ``num_fewshot`` examples (None: as many as a task says).

    Raises MissingExtraError without lm-eval, InputError for a task that it does not know.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        include_path: Path | None = None,
        limit: int | None = None,
        num_fewshot: int | None = None,
    ) -> None:
        manager = _library().tasks.TaskManager
        self._tasks, self._how = list(tasks), {"limit": limit, "num_fewshot": num_fewshot}
        folder = None if include_path is None else str(include_path)
        self._manager = manager(include_path=folder, include_defaults=False)
        if not set(tasks) <= set(self._manager.all_tasks):  # it takes seconds to list its own thousands
            self._manager = manager(include_path=folder)
        known = list(self._manager.all_tasks)
        for task in tasks:
            if task not in known:
                raise InputError("exam.lm_eval.tasks", f"lm-eval has no task {task!r}", nearest(task, known))

    def abilities(self, answerer: Answerer, account: Account) -> tuple[Ability, ...]:
        """Every measure of every task, as lm-eval gives it, paid by ``account``.

        Raises InputError for a task that cannot be run and for a request that the model fails.
        """
        asked = _language_model(answerer, account)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                found = _library().simple_evaluate(
                    asked,
                    tasks=self._tasks,
                    task_manager=self._manager,
                    bootstrap_iters=0,
                    log_samples=True,
                    **self._how,
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            problem = f"cannot be run ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            raise InputError(f"lm-eval {', '.join(self._tasks)}", problem, "try it with lm_eval itself") from error
        return tuple(_abilities(found))


def _library() -> Any:
    """lm-eval, which takes seconds to import. Raises MissingExtraError where it is not installed."""
    try:
        import lm_eval
        import lm_eval.api.model
        import lm_eval.tasks
    except ImportError as missing:
        raise MissingExtraError("exam.lm_eval", EXTRA) from missing
    return lm_eval


def _language_model(answerer: Answerer, account: Account) -> Any:
    """The answerer as an ``LM`` of lm-eval; a class of its own is only possible where lm-eval is there."""
    model, adapter = answerer.model, answerer.adapter

    @final
    class MeteredLM(_library().api.model.LM):  # type: ignore[misc]
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            pairs = [request.args for request in requests]
            scores = [Score(account=account, prompt=p, continuation=text, adapter=adapter) for p, text in pairs]
            return [(one.log_likelihood, one.greedy) for one in _got(model.score, scores)]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            scores: list[Score] = []
            ends = []
            for request in requests:
                scores += windows(answerer, request.args[0], account)
                ends.append(len(scores))
            found = [one.log_likelihood for one in _got(model.score, scores)]
            return [sum(found[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            asked = [_generate(answerer, prompt, how, account) for prompt, how in (one.args for one in requests)]
            return [one.text for one in _got(model.generate, asked)]

    return MeteredLM()


def _generate(answerer: Answerer, prompt: str, how: Mapping[str, Any], account: Account) -> Generate:
    until = how.get("until", ())
    return Generate(
        account=account,
        prompt=prompt,
        adapter=answerer.adapter,
        max_new_tokens=int(how.get("max_gen_toks", MOST_TOKENS)),
        temperature=float(how.get("temperature", 0.0)) if how.get("do_sample") else 0.0,
        top_p=float(how.get("top_p", 1.0)) if how.get("do_sample") else 1.0,
        stop=(until,) if isinstance(until, str) else tuple(until or ()),
    )


R = TypeVar("R", Score, Generate)


def _got(do: Callable[[Sequence[R]], Sequence[Result[Any]]], requests: Sequence[R]) -> list[Any]:
    """The products of these requests. Raises InputError where one failed: a measure without it would be another one."""
    products: list[Answered | Scored] = []
    for result in do(requests):
        if result.value is None:
            why = "nothing came of it" if result.failure is None else result.failure.detail
            raise InputError("lm-eval", f"a request failed ({why})", "shorten what the tasks ask: num_fewshot, limit")
        products.append(result.value)
    return products


def _abilities(found: Mapping[str, Any]) -> list[Ability]:
    abilities = []
    for task, measures in found["results"].items():
        count = found.get("n-samples", {}).get(task, {}).get("effective", 0)
        rows = found.get("samples", {}).get(task, [])
        for name, value in measures.items():
            metric, _, by = name.partition(",")
            if isinstance(value, bool) or not isinstance(value, int | float) or not by or metric.endswith("_stderr"):
                continue
            higher = found.get("higher_is_better", {}).get(task, {}).get(metric)
            marks = [row.get(metric) for row in sorted(rows, key=lambda row: row["doc_id"]) if row["filter"] == by]
            right = all(mark in (0, 1) for mark in marks)
            abilities.append(
                Ability(
                    name=f"{task} {metric}" + ("" if by == "none" else f" ({by})"),
                    value=float(value),
                    count=count,
                    better="" if higher is None else "higher" if higher else "lower",
                    correct="".join(str(int(mark)) for mark in marks) if right else "",
                )
            )
    return abilities
