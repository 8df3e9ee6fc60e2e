"""The training loop: the same on a CPU, one GPU, or many under `torchrun`."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from pytorch_msssim import ms_ssim
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.models.device import has_fast_bfloat16
from neuralcodec.models.ssimulacra2 import raw_ssimulacra2, score_of
from neuralcodec.terminal import say
from neuralcodec.training.checkpoint import CHECKPOINT, read_checkpoint, tradeoff_of, training_of
from neuralcodec.training.data import CropSampler, block_components, load_crops, open_store
from neuralcodec.training.forms import trainable
from neuralcodec.training.objectives import loss_of
from neuralcodec.training.optimizer import MuonAdamW
from neuralcodec.training.recipe import Recipe
from neuralcodec.weights import Tradeoff, WeightsFile

#: A step that took longer than this was interrupted (a stopped process, a sleeping machine).
LONGEST_STEP = 20.0
#: Seconds between two lines where there is no terminal.
SILENCE = 10.0


class Trainer:
    """State of one run in `out`: `checkpoint.safetensors` (resumed if present) and `log.jsonl`.

    Args:
        data: a folder of training images.
        valid: a folder of held-out images, or None.
        precision: `auto`, `bfloat16` or `float32`. `auto` takes bfloat16 where the hardware has it.
        start: a weights file to begin with, see `start_from_weights`; not used by a run that is resumed.
        compiled: compile the loss with torch's compiler, which needs a C++ compiler. This fuses the loss's
            many per-pixel operations; the networks would gain nothing.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        out: Path,
        valid: Path | None = None,
        *,
        precision: str = "auto",
        start: WeightsFile | None = None,
        compiled: bool = False,
    ) -> None:
        self.recipe, self.config, self.out = recipe, recipe.training, out
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.device = torch.device(
            f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
        )
        if self.device.type == "cuda":
            # Convolutions in TF32 lose the digits that variances and linear paths need.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = True
        self.bfloat16 = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(self.device))
        out.mkdir(parents=True, exist_ok=True)
        if self.world > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        if self.rank == 0:
            store = open_store(data, out / "pixels.bin", minimum=self.config.crop)
        if self.world > 1:
            dist.barrier()
        if self.rank != 0:
            store = open_store(data, out / "pixels.bin", minimum=self.config.crop)
        self.sampler = CropSampler(
            store,
            size=self.config.crop,
            batch=self.config.batch,
            seed=self.config.seed,
            rank=self.rank,
            drawn_share=self.config.drawn_share,
            reduced_share=self.config.reduced_share,
            grain_share=self.config.grain_share,
            device=self.device,
        )
        self.valid = [] if valid is None else load_crops(valid, width=768, height=512)

        torch.manual_seed(self.config.seed)
        self.objective = trainable(recipe.codec).objective(
            recipe.model, detail_share=self.config.detail_share
        )
        if compiled and shutil.which(os.environ.get("CXX", "g++")) is None:
            raise UsageError("--compile needs a C++ compiler: install g++, or name another in CXX")
        self.loss_of = torch.compile(loss_of, dynamic=False) if compiled else loss_of
        self.objective.start(start, lambda count: block_components(store, count))
        self.model: nn.Module = self.objective.model
        #: What encoders of the base pursue, which the weights file will say.
        self.tradeoff = self.config.tradeoff
        if self.config.detail_share == 1 and start is not None:
            self.tradeoff = Tradeoff(**start.said["tradeoff"])
        self.model.to(self.device).to(memory_format=torch.channels_last)
        if not (out / CHECKPOINT).exists() and not (start and start.said["model"].get("detail")):
            self.objective.begin(self._pixels(self.sampler.crops(step)) for step in itertools.count(10**9))
        torch.manual_seed(self.config.seed + self.rank)  # each process draws noise of its own
        self.ema = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.optimizer = self.make_optimizer()
        self.step, self.seconds, self.skipped = 0, 0.0, 0
        self._ahead = -1, torch.empty(0)  # a step, and its crops
        if (out / CHECKPOINT).exists():
            self._resume()
        self.replica: nn.Module = (
            nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=True)
            if self.world > 1
            else self.model
        )

    def make_optimizer(self) -> MuonAdamW:
        """Make the optimizer of `model`; `benchmarks/trials.py` puts others in its place."""
        return MuonAdamW(self.model, weight_decay=self.config.weight_decay)

    @property
    def progress(self) -> float:
        """The share of the run that is done, 0 to 1."""
        if self.config.steps:
            return min(self.step / self.config.steps, 1.0)
        return min(self.seconds / (60 * self.config.minutes), 1.0)

    def learning_rate(self) -> float:
        """Compute the learning rate of this step: a warm-up, then constant, then a cosine to zero."""
        constant = self.config.constant_share
        falling = max(self.progress - constant, 0.0) / (1 - constant)
        warm = min((self.step + 1) / max(self.config.warmup_steps, 1), 1.0)
        return self.config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * falling))

    def run(self, *, save_minutes: float, valid_minutes: float, log_every: int = 50) -> None:
        """Train until the recipe's time or steps are spent, or SIGTERM or SIGINT asks to stop."""
        with _StopRequest() as stop:
            self._run(stop, save_minutes, valid_minutes, log_every)
        if self.world > 1:
            dist.destroy_process_group()

    def _run(self, stop: _StopRequest, save_minutes: float, valid_minutes: float, log_every: int) -> None:
        # A terminal gets one line, which is overwritten; anything else gets a line every ten seconds.
        live = sys.stderr is not None and sys.stderr.isatty()
        shown = -math.inf
        saved = validated = time.monotonic()
        while self.progress < 1.0 and not self._agreed(stop.asked):
            began = time.monotonic()
            record = self._train_step()
            self.seconds += self._slowest(min(time.monotonic() - began, LONGEST_STEP))
            now = time.monotonic()
            if self.step % log_every == 0:
                self._log(record | {"seconds_per_step": now - began})
            if self.rank == 0 and (live or now - shown >= SILENCE):
                shown = now
                line = f"step {self.step}  {self.progress:.1%}  loss {record['loss']:.4f}  {self._left()}"
                print(line, end="\r", file=sys.stderr, flush=True) if live else say(line)
            if self.valid and self.rank == 0 and now - validated > 60 * valid_minutes:
                self._log(self.validate())
                validated = time.monotonic()
            if self.rank == 0 and now - saved > 60 * save_minutes:
                self.save()
                saved = time.monotonic()
        if self.rank == 0:
            self.save()
            if self.valid:
                self._log(self.validate())

    def _left(self) -> str:
        if self.config.steps:
            return f"{self.config.steps - self.step} steps left"
        return f"{self.config.minutes * (1 - self.progress):.0f} min left"

    def _train_step(self) -> dict[str, float]:
        config = self.config
        self.objective.round_latents(self.progress >= 1 - config.rounded_share)
        loss, bpp, error = self._loss(mse_only=self.progress < config.mse_share)
        loss.backward()  # type: ignore[no-untyped-call]
        self._ahead = self.step + 1, self.sampler.crops(self.step + 1)  # drawn while a GPU is at work
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        if math.isfinite(norm.item()):
            self.optimizer.step(self.learning_rate())
            self._average()
        else:
            self.skipped += 1
            self.model.zero_grad()
        self.step += 1
        return {
            "loss": loss.item(),
            "bpp": bpp.mean().item(),
            "distortion": error.mean().item(),
            "norm": norm.item(),
            "skipped": self.skipped,
        }

    def _loss(self, *, mse_only: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the loss of this step's crops, and the bpp and distortion of each sample."""
        step, crops = self._ahead
        x = self._pixels(crops if step == self.step else self.sampler.crops(self.step))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            terms = self.objective.terms(self.replica, x, self.sampler, self.step)
        loss, parts = torch.zeros((), device=x.device), []
        for part in terms:
            tradeoff = self.recipe.detail if part.detail else self.config.tradeoff
            assert tradeoff is not None
            one, *logged = self.loss_of(tradeoff, part, mse_only=mse_only)
            loss = loss + one * len(part.bits)
            parts.append(logged)
        bpp, error = (torch.cat(each) for each in zip(*parts, strict=True))
        return loss / len(bpp), bpp, error

    def _pixels(self, crops: Tensor) -> Tensor:
        return crops.to(self.device, torch.float32, memory_format=torch.channels_last) / 255

    @torch.no_grad()
    def _average(self) -> None:
        # A young average must soon forget the start.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.values()), list(self.model.parameters()), 1 - decay)

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        kept = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.model.load_state_dict(self.ema, strict=False)
        try:
            yield
        finally:
            self.model.load_state_dict(kept, strict=False)

    @torch.no_grad()
    def validate(self) -> dict[str, object]:
        """Measure the averaged weights on the held-out crops: a row for each quality.

        A row is the estimated bpp, MS-SSIM, the same in dB, PSNR in dB and SSIMULACRA2.
        """
        measured = []  # (crops, levels, 4)
        self.model.eval()
        with self._averaged_weights():
            for crop in self.valid:
                x = self._pixels(crop)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                    outs = self.objective.points(x)
                rounded = [(x_hat.float().clamp(0, 1) * 255).round() / 255 for x_hat, _ in outs]
                similarity = [ms_ssim(x_hat, x, data_range=1.0).item() for x_hat in rounded]
                bpp = [bits.item() / x[0, 0].numel() for _, bits in outs]
                psnr = [-10 * math.log10((x_hat - x).square().mean().item()) for x_hat in rounded]
                scores = [score_of(raw_ssimulacra2(x, x_hat).item()) for x_hat in rounded]
                measured.append(list(zip(bpp, similarity, psnr, scores, strict=True)))
        means = torch.tensor(measured, dtype=torch.float64).mean(0).tolist()
        points = [[b, m, -10 * math.log10(max(1 - m, 1e-9)), p, s] for b, m, p, s in means]
        self.model.train()
        return {"valid": points}

    def save(self) -> None:
        """Write the checkpoint, without pickle, whole or not at all."""
        tensors = {f"model.{n}": p.detach().contiguous() for n, p in self.model.named_parameters()}
        tensors |= {f"ema.{n}": t.contiguous() for n, t in self.ema.items()}
        tensors |= {f"optimizer.{n}": t.contiguous() for n, t in self.optimizer.state.items()}
        run = {"step": self.step, "seconds": self.seconds, "skipped": self.skipped}
        run |= asdict(self.tradeoff)
        if self.recipe.detail is not None:
            run |= {f"detail.{name}": value for name, value in asdict(self.recipe.detail).items()}
        model = json.dumps(asdict(self.recipe.model))
        metadata = {"run": json.dumps(run), "codec": self.recipe.codec, "model": model}
        metadata["training"] = json.dumps(asdict(self.config))
        if self.objective.decoder is not None:
            metadata["decoder"] = self.objective.decoder
        partial = self.out / (CHECKPOINT + ".partial")
        try:
            save_file(tensors, partial, metadata)
        except SafetensorError as error:
            raise NeuralCodecError(f"cannot write {partial}: {error}") from None
        partial.replace(self.out / CHECKPOINT)

    def _resume(self) -> None:
        tensors, codec, config, run, decoder = read_checkpoint(self.out / CHECKPOINT)
        known = self.recipe.codec, self.recipe.model, self.objective.decoder
        if (codec, config, decoder) != known:
            raise UsageError(f"{self.out} holds a run of another model; give --out another folder")
        before, now = training_of(self.out / CHECKPOINT), asdict(self.config)
        changed = [
            f"{name} {before[name]} to {now[name]}" for name in before if now.get(name) != before[name]
        ]
        if changed and self.rank == 0:
            say(f"ncodec: warning: {self.out} goes on with another recipe: {', '.join(changed)}")
        for kind, targets in (
            ("model", dict(self.model.named_parameters())),
            ("ema", self.ema),
            ("optimizer", self.optimizer.state),
        ):
            for name, target in targets.items():
                target.data.copy_(tensors[f"{kind}.{name}"])
        self.step, self.seconds = int(run["step"]), float(run["seconds"])
        self.skipped, self.optimizer.steps = int(run["skipped"]), int(run["step"])
        if self.config.detail_share == 1:
            self.tradeoff = tradeoff_of(run)

    def _log(self, record: dict[str, float] | dict[str, object]) -> None:
        if self.rank == 0:
            head = {"step": self.step, "minutes": round(self.seconds / 60, 2), "rate": self.learning_rate()}
            with (self.out / "log.jsonl").open("a") as file:
                file.write(json.dumps(head | record) + "\n")

    def _agreed(self, asked: bool) -> bool:
        return bool(self._slowest(float(asked)))

    def _slowest(self, value: float) -> float:
        """Find the largest `value` of all processes, so that each keeps the same schedule."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return float(shared)


class _StopRequest:
    """A block inside of which SIGTERM and SIGINT are only noted, so that a step can end and be saved."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _StopRequest:
        self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True
