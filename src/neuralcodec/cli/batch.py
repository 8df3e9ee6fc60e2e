"""Conversion of many files, side by side in processes; failures stop no other file, and a summary ends it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial

from neuralcodec.cli.jobs import Outcome, Task, perform
from neuralcodec.cli.planning import Job
from neuralcodec.terminal import progress, say, write


def run(task: Task, jobs: Sequence[Job]) -> int:
    """Convert all files and print the outcome of each; return the highest of their exit codes.

    Raises:
        KeyboardInterrupt: the user stops it; the message says what is done and how to go on.
    """
    args = task.args
    if len(jobs) == 1 and args.ray is None and not args.resume:
        with progress(jobs[0].name, quiet=args.quiet) as show:
            outcome = perform(task, jobs[0], show)
        _tell(outcome, task)
        return outcome.status
    summary = _Summary(len(jobs), task.word)
    try:
        with progress(summary.text(), quiet=args.quiet) as show:
            for outcome in outcomes(task, jobs):
                _tell(outcome, task)
                summary.add(outcome)
                if show is not None:
                    show(summary.share, summary.text())
    except KeyboardInterrupt:
        how = "the same command" if args.resume else "the same command with --resume"
        raise KeyboardInterrupt(f"{summary.text()}; {how} goes on") from None
    if summary.failed or not args.quiet:
        say(summary.text())
    return summary.status


def _tell(outcome: Outcome, task: Task) -> None:
    result = outcome.result
    for line in outcome.lines:
        say(line)
    if task.args.json:
        source, target = (None if path is None else str(path) for path in outcome.job[:2])
        facts = {"input": source, "output": target, "status": outcome.status, "messages": outcome.lines}
        facts |= {"was_there": True} if outcome.was_there else {}
        write(json.dumps(facts | (result.facts if result else {})))
    elif result and not task.args.quiet:
        for line in result.lines if task.args.verbose else result.lines[:1]:
            say(line)


def outcomes(task: Task, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield each job's outcome as soon as it is done."""
    if task.args.ray is not None:
        from neuralcodec.cli import on_ray

        return on_ray.outcomes(task, jobs)
    from neuralcodec.processes import available_cores, most

    cores = task.args.threads or available_cores()
    workers = min(len(jobs), cores)
    if workers > 1:
        from neuralcodec.models.runtime import on_gpu

        workers = min(workers, most(cores, on_gpu=on_gpu()))
    if workers <= 1:
        return (perform(task, job) for job in jobs)
    return _in_processes(task, jobs, workers, cores // workers)


def _in_processes(task: Task, jobs: Sequence[Job], count: int, threads: int) -> Iterator[Outcome]:
    from neuralcodec.processes import pool

    with pool(partial(perform, task), jobs=count, threads=threads) as workers:
        for job, outcome, error in workers.run(jobs):
            yield outcome or Outcome(job, 1, [f"ncodec: error: {job.name}: {error}"])


class _Summary:
    """Counts of what is done, and a line about them."""

    def __init__(self, total: int, word: str) -> None:
        self.total, self.word = total, word
        self.done = self.failed = self.were_there = self.status = 0
        self.before = self.after = self.pixels = 0
        self.start = time.perf_counter()

    def add(self, outcome: Outcome) -> None:
        self.status = max(self.status, outcome.status)
        if outcome.was_there:
            self.were_there += 1
        elif outcome.result is None:
            self.failed += 1
        else:
            self.done += 1
            self.before += outcome.result.before
            self.after += outcome.result.after
            self.pixels += outcome.result.pixels

    @property
    def share(self) -> float:
        return (self.done + self.failed + self.were_there) / self.total

    def text(self) -> str:
        """Format `998 of 1,000 files done, 2 failed  9,876 → 1,234 bytes (-87.5 %)  12.3 MP/s`."""
        parts = [f"{self.done:,} of {self.total:,} files {self.word}"]
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.were_there:,} were there already"] if self.were_there else []
        text = ", ".join(parts)
        if self.before and self.after:
            change = 100 * (self.after / self.before - 1)
            seconds = max(time.perf_counter() - self.start, 1e-9)
            text += f"  {self.before:,} → {self.after:,} bytes ({change:+.1f} %)"
            text += f"  {self.pixels / 1e6 / seconds:.3g} MP/s"
        return text
