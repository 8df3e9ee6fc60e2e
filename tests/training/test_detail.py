"""Training and export of the detail layer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from tiny import TINY_DETAIL, TINY_MODEL, write_conv_weights, write_detail_weights

from neuralcodec import weights
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.errors import UsageError
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.conv.quality import QualityTable
from neuralcodec.models.conv.runner import Model
from neuralcodec.picture.picture import Picture
from neuralcodec.training import export as exporting
from neuralcodec.training.checkpoint import CHECKPOINT
from neuralcodec.training.conv import ConvObjective
from neuralcodec.training.export import export
from neuralcodec.training.loop import Trainer
from neuralcodec.training.quality import table_of
from neuralcodec.training.recipe import Recipe
from neuralcodec.training.start import start_from_weights
from neuralcodec.weights import Tradeoff

pytestmark = pytest.mark.usefixtures("quick_start")


@pytest.fixture
def detail_recipe(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(ConvObjective, "SEEN", 2)
    return Recipe(replace(recipe.training, detail_share=1.0), "conv", TINY_DETAIL, Tradeoff())


@pytest.fixture
def trainer(detail_recipe: Recipe, images: Path, tmp_path: Path) -> Trainer:
    base = write_conv_weights(tmp_path / "base.safetensors")
    return Trainer(detail_recipe, images, tmp_path / "run", precision="float32", start=base)


def test_only_the_detail_layer_is_trained(trainer: Trainer) -> None:
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for _ in range(3):
        trainer._train_step()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if "detail_" in name}


def test_both_layers_learn_together(detail_recipe: Recipe, images: Path, tmp_path: Path) -> None:
    training = replace(detail_recipe.training, detail_share=0.5)
    start = write_detail_weights(tmp_path / "two.safetensors")
    trainer = Trainer(
        replace(detail_recipe, training=training), images, tmp_path / "run", images, start=start
    )
    x = trainer._pixels(trainer.sampler.crops(0))
    one, two = trainer.objective.terms(trainer.model, x, trainer.sampler, 0)
    assert (one.detail, two.detail) == (False, True)
    assert len(one.x) == len(two.x) == 1
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for _ in range(3):
        trainer._train_step()
    unchanged = [name for name, p in trainer.model.named_parameters() if torch.equal(p, before[name])]
    assert unchanged == []
    points = trainer.validate()["valid"]
    assert isinstance(points, list)
    assert len(points) == TINY_DETAIL.levels + TINY_DETAIL.detail_levels


def test_rates_are_those_of_rounded_latents_in_both_layers() -> None:
    torch.manual_seed(0)
    objective = ConvObjective(TINY_DETAIL, detail_share=0.5)
    model = objective.model.train()
    x, level = torch.rand(2, 3, 64, 64), torch.tensor([0.0, 1.5])

    def bits() -> list[float]:
        with torch.no_grad():
            both = (model(x, level, detail=detail) for detail in (False, True))
            return [float(bit) for out in both for bit in out.y_bits]

    assert all(one != other for one, other in zip(bits(), bits(), strict=True))
    objective.round_latents(True)
    assert bits() == bits()
    objective.round_latents(False)
    assert all(one != other for one, other in zip(bits(), bits(), strict=True))


def test_the_shortcuts_begin_as_an_orthonormal_transform(trainer: Trainer) -> None:
    rows = trainer.objective.model.transforms.detail_analysis.shortcut.weight.detach()[..., 0, 0]
    assert torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-5)


def test_a_model_without_a_detail_layer_has_nothing_to_train(
    recipe: Recipe, images: Path, tmp_path: Path
) -> None:
    frozen = Recipe(replace(recipe.training, detail_share=1.0), "conv", TINY_MODEL, Tradeoff())
    with pytest.raises(UsageError, match="this one has none"):
        Trainer(frozen, images, tmp_path / "run")


def test_export_codes_two_layers_and_keeps_the_aim_of_the_base(
    trainer: Trainer, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.save()
    # Symbols far beyond the tables, as an untrained layer has them, cost more as escapes than by a Gaussian.
    monkeypatch.setattr(exporting, "MAX_RATE_LOSS", 0.1)
    file, report = export(tmp_path / "run" / CHECKPOINT, tmp_path / "two.safetensors", images, images)
    assert report["bpp_fitted"] < report["bpp_coded"]
    assert file.said["tradeoff"] == weights.at(tmp_path / "base.safetensors").said["tradeoff"]
    picture = Picture(photograph(96, 160))
    table = QualityTable(
        ConvCodec(replace(TINY_DETAIL, **file.said["model"])).config, weights.read(file).arrays
    )
    low, high = (encode_picture(picture, quality=q, model=file.path) for q in (table.first - 1, table.first))
    assert len(high) > len(low)
    assert decode_picture(high).pixels.shape == picture.pixels.shape


def test_fitted_tables_of_details_are_their_own(trainer: Trainer, images: Path, tmp_path: Path) -> None:
    trainer.save()
    checkpoint = tmp_path / "run" / CHECKPOINT
    plain, _ = export(checkpoint, tmp_path / "plain.safetensors")
    fitted, _ = export(checkpoint, tmp_path / "fitted.safetensors", photos=images)
    table = weights.read(fitted).arrays["detail.table"]
    assert table[0] == 0 and (table[1:] >= 64).all()
    picture = Picture(photograph(256, 256))
    sizes = [len(encode_picture(picture, quality=90, model=file.path)) for file in (plain, fitted)]
    assert sizes[1] < sizes[0]


def test_a_run_goes_on_from_two_layers(tmp_path: Path) -> None:
    file = write_detail_weights(tmp_path / "two.safetensors")
    model = ConvCodec(TINY_DETAIL).eval()
    start_from_weights(model, file)
    loaded = Model(file)
    x = torch.from_numpy(photograph(64, 64)).permute(2, 0, 1)[None] / 255
    level = torch.tensor([1.0])
    torch.manual_seed(0)
    again = ConvCodec(TINY_DETAIL).eval()
    again.transforms.load_state_dict(loaded.transforms.state_dict())
    mine, theirs = model(x, level, detail=True), again(x, level, detail=True)
    assert abs(mine.y_bits.item() / theirs.y_bits.item() - 1) < 0.01
    assert (mine.x_hat - theirs.x_hat).abs().max().item() < 0.1


def curve(levels: int, first: tuple[float, float], last: tuple[float, float]) -> np.ndarray:
    level = np.arange(levels)
    share = level / (levels - 1)
    bpp = first[0] * (last[0] / first[0]) ** share
    return np.stack([level, bpp, first[1] + share * (last[1] - first[1])], 1)


def test_the_table_follows_the_score() -> None:
    config = replace(TINY_DETAIL, levels=8, detail_levels=5, base_level=450)
    single, double = curve(8, (0.02, -30), (1.0, 76)), curve(5, (0.5, 62), (4.0, 94))
    changed, arrays = table_of(config, single, double)
    table = QualityTable(changed, arrays)
    for quality in range(30, table.first):
        score = np.interp(table(quality).base, single[:, 0], single[:, 2])
        assert abs(score - quality) < 3
    for quality in range(table.first, 91):
        level = table(quality).detail
        assert level is not None
        assert abs(np.interp(level, double[:, 0], double[:, 2]) - quality) < 3
    assert table(100).detail == 4
    assert table(table.first).base == 4.5 == table(changed.base_quality).base


def test_bytes_grow_over_the_border_of_the_layers() -> None:
    config = replace(TINY_DETAIL, levels=8, detail_levels=5, base_level=450)
    single, double = curve(8, (0.02, -30), (1.0, 76)), curve(5, (0.3, 68), (4.0, 94))
    changed, arrays = table_of(config, single, double)
    table = QualityTable(changed, arrays)
    just_below = table(table.first - 0.01).base
    assert np.interp(just_below, single[:, 0], single[:, 1]) <= double[0, 1]
    levels = [table(q / 10).base for q in range(10 * table.first)]
    assert (np.diff(levels) >= 0).all()
