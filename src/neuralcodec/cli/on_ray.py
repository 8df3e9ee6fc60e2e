"""A batch on a Ray cluster: this process reads and writes, and tasks on the cluster convert.

A task takes bytes and returns bytes. So the machines need no common storage, a task that is lost with its
worker is done again, and each output is written once, by this process.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from neuralcodec import __version__, files
from neuralcodec.cli.jobs import Outcome, Task, attempt, without_work
from neuralcodec.cli.planning import Job
from neuralcodec.errors import NeuralCodecError, UsageError, describe
from neuralcodec.parallel import limit_threads
from neuralcodec.processes import available_cores
from neuralcodec.terminal import about, collected, report_error

#: How often a task whose worker died is done again before its file counts as failed.
RETRIES = 5
#: The name of the tasks in Ray's lists.
NAME = "ncodec"


def outcomes(task: Task, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield each job's outcome as soon as it is done.

    Raises:
        UsageError: Ray is not installed.
        NeuralCodecError: the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--ray needs Ray: pip install 'neuralcodec[ray]'") from None
    _connect(ray, task.args.ray, task.args.threads or available_cores())
    try:
        yield from _run(ray, task, jobs)
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, cores: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    local = {"num_cpus": cores, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **local)
    except Exception as error:  # its class depends on what fails
        raise NeuralCodecError(f"no Ray cluster at {address}: {describe(error)}") from error


def _run(ray: Any, task: Task, jobs: Sequence[Job]) -> Iterator[Outcome]:
    convert = ray.remote(_convert).options(num_cpus=1, max_retries=RETRIES, name=NAME)
    # Enough that no core waits for this process, and no more, so that memory does not grow with the batch.
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    under_way: dict[Any, Job] = {}

    def next_outcome() -> Outcome:
        [reference], _ = ray.wait(list(under_way))
        job = under_way.pop(reference)
        try:
            outcome, data = ray.get(reference)
        except ray.exceptions.RayError as error:
            return Outcome(job, 1, [f"ncodec: error: {job.name}: lost by Ray: {describe(error)}"])
        return outcome if outcome.result is None else _write(task, outcome, data)

    for job in jobs:
        if len(under_way) == most:
            yield next_outcome()
        data = without_work(task, job) or _read(task, job)
        if isinstance(data, Outcome):
            yield data
        else:
            under_way[convert.remote(__version__, task, job, data)] = job
    while under_way:
        yield next_outcome()


def _read(task: Task, job: Job) -> bytes | Outcome:
    """Read the input; if that fails, return the outcome that says why."""
    with collected() as lines:
        try:
            with about(job.name):
                return files.read(job.source, task.limit)
        except Exception as error:
            return Outcome(job, report_error(error, debug=task.args.verbose, name=job.name), lines)


def _write(task: Task, outcome: Outcome, data: bytes) -> Outcome:
    target = outcome.job.target
    with collected() as lines:
        try:
            with about("standard output" if target is None else str(target)), files.writing(target) as file:
                file.write(data)
        except BrokenPipeError:
            raise
        except Exception as error:
            status = report_error(error, debug=task.args.verbose, name=outcome.job.name)
            return Outcome(outcome.job, status, lines)
    return outcome


class _Carried:
    """A store for one job, in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.result = b""

    def read(self, source: Path | None, limit: int) -> bytes:
        return self.data

    @contextmanager
    def writing(self, target: Path | None) -> Iterator[BinaryIO]:
        file = io.BytesIO()
        yield file
        self.result = file.getvalue()


def _convert(version: str, task: Task, job: Job, data: bytes) -> tuple[Outcome, bytes]:
    """Convert one file, on the cluster."""
    if version != __version__:
        line = f"ncodec: error: {job.name}: the cluster has neuralcodec {__version__}, here is {version}"
        return Outcome(job, 1, [line]), b""
    limit_threads(1)
    store = _Carried(data)
    return attempt(task, job, store), store.result
