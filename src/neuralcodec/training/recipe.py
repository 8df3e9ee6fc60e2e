"""Recipes: TOML files that say what to train and how."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from neuralcodec.errors import UsageError
from neuralcodec.training.forms import trainable, trained
from neuralcodec.weights import Tradeoff

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training run.

    `constant_share`, `mse_share` and `rounded_share` are of the run's length, which is `minutes` spent in
    steps, or a number of `steps`. `detail_share` of the crops are coded in two layers; with 1,
    the base stays as it is.
    """

    batch: int
    crop: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    constant_share: float
    mse_share: float
    mse_weight: float
    flat_weight: float
    drawn_share: float
    rounded_share: float
    lambda_low: float
    lambda_high: float
    clip_norm: float
    ema_decay: float
    seed: int
    ms_ssim_weight: float = 1.0
    ssimulacra2_weight: float = 0.0
    mse_growth: float = 1.0
    reduced_share: float = 0.0
    grain_share: float = 0.0
    detail_share: float = 0.0
    minutes: float = 0.0
    steps: int = 0

    @property
    def tradeoff(self) -> Tradeoff:
        """The trade-off of rate and distortion that is minimised."""
        return Tradeoff(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Tradeoff)})


@dataclass(frozen=True)
class Recipe:
    """A codec by name, the sizes of its model, and its training.

    `detail` is the trade-off of crops that are coded in two layers, where `training.detail_share` is above 0.
    """

    training: TrainingConfig
    codec: str
    model: DataclassInstance
    detail: Tradeoff | None = None


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; a bare name such as `conv` finds the one shipped in the package.

    Raises:
        UsageError: there is no such file, it is not TOML, or an entry is missing, unknown or of wrong type.
    """
    shipped = Path(__file__).with_name("recipes") / f"{path.name.removesuffix('.toml')}.toml"
    file = path if path.exists() else shipped
    try:
        with file.open("rb") as stream:
            tables = tomllib.load(stream)
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not a TOML recipe: {error}") from None
    training = _fill(TrainingConfig, tables.get("training", {}), f"{file} [training]")
    if (training.minutes > 0) == (training.steps > 0):
        raise UsageError(f"{file} [training]: give minutes or steps, one of them above 0")
    detail = _fill(Tradeoff, tables["detail"], f"{file} [detail]") if "detail" in tables else None
    if (training.detail_share > 0) != (detail is not None) or training.detail_share > 1:
        raise UsageError(f"{file}: a detail_share from 0 to 1 and a table [detail] come together")
    codecs = [name for name in tables if name not in ("training", "detail")]
    if len(codecs) != 1:
        tables_of_models = " or ".join(f"[{name}]" for name in trained())
        raise UsageError(f"{file} must have one table of a model beside [training]: {tables_of_models}")
    codec = codecs[0]
    return Recipe(training, codec, _fill(trainable(codec).config, tables[codec], f"{file} [{codec}]"), detail)


def _fill(kind: type[T], table: dict[str, Any], where: str) -> T:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name in table:
        if name not in fields:
            raise UsageError(f"{where}: unknown entry {name!r}; known are {', '.join(fields)}")
    for name, field in fields.items():
        value = table.get(name, field.default)
        if value is dataclasses.MISSING:
            raise UsageError(f"{where}: {name} is missing")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise UsageError(f"{where}: {name} must be a number of at least 0, not {value!r}")
        if field.type == "int" and not isinstance(value, int):
            raise UsageError(f"{where}: {name} must be a whole number, not {value!r}")
    return kind(**table)
