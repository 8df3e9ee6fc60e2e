"""The training loop: steps, checkpoints, stops, and two processes that stay equal."""

import functools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import TINY_MODEL

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.training.checkpoint import CHECKPOINT, read_checkpoint
from neuralcodec.training.loop import Trainer
from neuralcodec.training.objectives import loss_of
from neuralcodec.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("quick_start", "signals")

Start = Callable[..., Trainer]


@pytest.fixture
def start(recipe: Recipe, images: Path, tmp_path: Path) -> Start:
    """Starts or resumes a run in one folder."""

    def make(recipe: Recipe = recipe, **options: object) -> Trainer:
        return Trainer(recipe, images, tmp_path / "run", precision="float32", **options)  # type: ignore[arg-type]

    return make


def interrupt_after(trainer: Trainer, steps: int, number: int = signal.SIGTERM) -> None:
    """Sends this process a signal from within a step, as another process would."""
    train_step = trainer._train_step

    def step() -> dict[str, float]:
        if trainer.step == steps - 1:
            os.kill(os.getpid(), number)
        return train_step()

    trainer._train_step = step  # type: ignore[method-assign]


def test_three_steps_change_every_parameter(start: Start) -> None:
    trainer = start()
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    records = [trainer._train_step() for _ in range(3)]
    assert trainer.step == 3
    for record in records:
        assert all(math.isfinite(value) for value in record.values())
        assert record["skipped"] == 0
    for name, p in trainer.model.named_parameters():
        assert torch.isfinite(p).all(), name
        assert not p.equal(before[name]), name
        assert not trainer.ema[name].equal(p), name


def test_the_loss_can_be_compiled(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch's compiler makes of it takes a minute to find out; here it is handed the right thing."""
    seen: list[object] = []

    def stand_in(function: Callable[..., object], *, dynamic: bool) -> Callable[..., object]:
        assert not dynamic  # a run has one shape of crops
        seen.append(function)
        return functools.partial(function)

    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr(torch, "compile", stand_in)
    start()
    assert seen == []
    compiled = start(compiled=True)
    assert seen == [loss_of]
    assert compiled._train_step()["bpp"] > 0


def test_compiling_needs_a_compiler(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="needs a C\\+\\+ compiler"):
        start(compiled=True)


def test_repeating_a_batch_lowers_its_loss(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = start()
    crops, levels = trainer.sampler.crops(0), trainer.sampler.levels(0, 2)
    monkeypatch.setattr(trainer.sampler, "crops", lambda step: crops)
    monkeypatch.setattr(trainer.sampler, "levels", lambda step, count, samples: levels)
    losses = [trainer._train_step()["loss"] for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_and_saves(start: Start, tmp_path: Path, number: int) -> None:
    trainer = start()
    interrupt_after(trainer, 3, number)
    trainer.run(save_minutes=60, valid_minutes=60, log_every=1)
    folder = tmp_path / "run"
    assert trainer.step == 3
    assert not list(folder.glob("*.partial"))
    tensors, _, config, run, _ = read_checkpoint(folder / CHECKPOINT)
    assert run["step"] == 3
    assert config == trainer.recipe.model
    for name, p in trainer.model.named_parameters():
        assert tensors[f"model.{name}"].equal(p.detach())
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [1, 2, 3]
    expected = {"step", "minutes", "rate", "loss", "bpp", "distortion", "norm", "skipped", "seconds_per_step"}
    assert all(set(record) == expected for record in log)


def test_a_checkpoint_resumes_where_it_was(start: Start) -> None:
    """The same weights, averages, optimizer, step, time and crops."""
    trainer = start()
    for _ in range(3):
        trainer._train_step()
    trainer.seconds = 12.5
    trainer.save()
    resumed = start()
    assert (resumed.step, resumed.seconds, resumed.optimizer.steps) == (3, 12.5, 3)
    assert resumed.learning_rate() == trainer.learning_rate()
    for name, p in trainer.model.named_parameters():
        assert dict(resumed.model.named_parameters())[name].equal(p)
        assert resumed.ema[name].equal(trainer.ema[name])
    for name, state in trainer.optimizer.state.items():
        assert resumed.optimizer.state[name].equal(state)
    assert resumed.sampler.crops(resumed.step).equal(trainer.sampler.crops(trainer.step))
    assert resumed.sampler.levels(3, 2).equal(trainer.sampler.levels(3, 2))

    # The noise of the rate is drawn anew; with the same draw, the next step is the same.
    for run in (trainer, resumed):
        torch.manual_seed(5)
        run._train_step()
    for name, p in trainer.model.named_parameters():
        assert torch.allclose(dict(resumed.model.named_parameters())[name], p, atol=1e-6), name


def test_a_kill_while_saving_leaves_the_old_checkpoint(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start()
    trainer.save()
    checkpoint = tmp_path / "run" / CHECKPOINT
    before = checkpoint.read_bytes()
    trainer._train_step()

    def cut_short(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("neuralcodec.training.loop.save_file", cut_short)
    with pytest.raises(KeyboardInterrupt):
        trainer.save()
    assert checkpoint.read_bytes() == before
    monkeypatch.undo()
    assert start().step == 0


def test_a_run_ends_when_its_time_is_spent(start: Start, recipe: Recipe, tmp_path: Path) -> None:
    short = replace(recipe, training=replace(recipe.training, minutes=1e-6))
    trainer = start(short)
    trainer.run(save_minutes=60, valid_minutes=60)
    assert trainer.step == 1
    assert trainer.progress == 1.0
    start(short).run(save_minutes=60, valid_minutes=60)  # nothing is left to do
    assert read_checkpoint(tmp_path / "run" / CHECKPOINT).run["step"] == 1


def test_a_run_of_steps_ends_after_them(
    start: Start, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    counted = replace(recipe, training=replace(recipe.training, minutes=0.0, steps=3))
    trainer = start(counted)
    trainer.run(save_minutes=60, valid_minutes=60)
    assert (trainer.step, trainer.progress) == (3, 1.0)
    assert {number: signal.getsignal(number) for number in before} == before
    # Without a terminal: a line at once, and the next ten seconds later.
    assert capsys.readouterr().err.startswith("step 1  33.3%  loss ")
    start(replace(recipe, training=replace(recipe.training, minutes=0.0, steps=3, batch=1)))
    assert "goes on with another recipe: batch 2 to 1" in capsys.readouterr().err


def test_the_schedule(start: Start, recipe: Recipe) -> None:
    """Warm-up by steps; constant, then a cosine to zero by time."""
    trainer = start()
    peak, whole = recipe.training.learning_rate, 60 * recipe.training.minutes
    assert trainer.learning_rate() == pytest.approx(peak / 2)
    trainer.step = 2
    for share, factor in ((0.0, 1.0), (0.4, 1.0), (0.7, 0.5), (1.0, 0.0), (3.0, 0.0)):
        trainer.seconds = share * whole
        assert trainer.learning_rate() == pytest.approx(factor * peak, abs=1e-9)


def test_a_step_that_is_not_finite_is_skipped(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = start()
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    monkeypatch.setattr(
        "neuralcodec.training.objectives.rate_distortion", lambda bpp, error, lam: bpp.sum() * float("nan")
    )
    assert trainer._train_step()["skipped"] == 1
    assert trainer.step == 1
    for name, p in trainer.model.named_parameters():
        assert p.equal(before[name])
        assert p.grad is None
        assert torch.isfinite(trainer.optimizer.state[f"first.{name}"]).all()


def test_validation_uses_the_averaged_weights(start: Start, images: Path) -> None:
    trainer = start(valid=images)
    with torch.no_grad():  # whatever the current weights are
        for p in trainer.model.parameters():
            p.fill_(float("nan"))
    record = trainer.validate()
    points = record["valid"]
    assert isinstance(points, list)
    assert len(points) == 3
    for bpp, similarity, decibels, psnr, score in points:
        assert bpp > 0
        assert 0 < similarity < 1
        assert decibels == pytest.approx(-10 * math.log10(1 - similarity))
        assert psnr > 0
        assert score < 100
    assert trainer.model.training
    assert all(p.isnan().all() for p in trainer.model.parameters())  # and they are back


def test_another_model_is_not_resumed(start: Start, recipe: Recipe, gru_recipe: Recipe) -> None:
    start().save()
    with pytest.raises(UsageError, match="another model"):
        start(replace(recipe, model=replace(TINY_MODEL, width=24)))
    with pytest.raises(UsageError, match="another model"):
        start(gru_recipe)


@pytest.mark.parametrize("kind", ["missing", "noise", "foreign", "truncated"])
def test_what_is_no_checkpoint_is_refused(start: Start, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run" / CHECKPOINT
    path.parent.mkdir(exist_ok=True)
    if kind == "noise":
        path.write_bytes(bytes(range(256)))
    elif kind == "foreign":
        save_file({"a": torch.zeros(3)}, path)
    elif kind == "truncated":
        trainer = start()
        trainer.save()
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NeuralCodecError, match="is not a checkpoint"):
        read_checkpoint(path)
    if kind != "missing":
        with pytest.raises(NeuralCodecError, match="is not a checkpoint"):
            start()


TWO_STEPS = """
    import functools, json, os, sys
    from pathlib import Path
    from safetensors.torch import save_file
    import torch.distributed as dist
    from neuralcodec.models.conv.config import ConvConfig
    from neuralcodec.training import loop
    from neuralcodec.training.recipe import Recipe, TrainingConfig

    loop.block_components = functools.partial(loop.block_components, samples=1000)
    model, training = json.loads(sys.argv[1])
    recipe = Recipe(TrainingConfig(**training), "conv", ConvConfig(**model))
    trainer = loop.Trainer(recipe, Path(sys.argv[2]), Path(sys.argv[3]), precision="float32")
    for _ in range(2):
        trainer._train_step()
    tensors = {name: p.detach().contiguous() for name, p in trainer.model.named_parameters()}
    tensors["first crops"] = trainer.sampler.crops(0).contiguous()
    save_file(tensors, Path(sys.argv[3]) / f"rank{trainer.rank}.safetensors")
    dist.destroy_process_group()
"""


def test_two_processes_stay_equal(recipe: Recipe, images: Path, tmp_path: Path) -> None:
    program = tmp_path / "two_steps.py"
    program.write_text(textwrap.dedent(TWO_STEPS))
    arguments = json.dumps([asdict(recipe.model), asdict(recipe.training)])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(program), arguments, str(images), str(tmp_path / "run")]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (load_file(tmp_path / "run" / f"rank{rank}.safetensors") for rank in (0, 1))
    assert not first.pop("first crops").equal(second.pop("first crops"))
    for name, tensor in first.items():
        assert tensor.equal(second[name]), name
