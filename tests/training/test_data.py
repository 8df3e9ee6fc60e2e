"""Training pictures: decoded once, drawn reproducibly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from PIL import Image
from torch.nn import functional as F

from neuralcodec.errors import UsageError
from neuralcodec.training.data import CropSampler, PixelStore, block_components, load_crops, open_store


@pytest.fixture
def store(images: Path, tmp_path: Path) -> PixelStore:
    return open_store(images, tmp_path / "pixels.bin", minimum=192)


def test_the_store_holds_the_usable_pictures(images: Path, store: PixelStore) -> None:
    assert store.shapes == [(200, 260), (230, 210), (520, 800)]
    for index in range(3):
        with Image.open(images / f"{index}.png") as image:
            assert (store.picture(index) == np.asarray(image)).all()


def test_the_store_is_reused_until_the_folder_changes(images: Path, tmp_path: Path) -> None:
    folder, cache = tmp_path / "data", tmp_path / "pixels.bin"
    folder.mkdir()
    Image.fromarray(photograph(64, 64)).save(folder / "a.png")
    open_store(folder, cache, minimum=32)
    before = cache.stat().st_ino
    open_store(folder, cache, minimum=32)
    assert cache.stat().st_ino == before
    Image.fromarray(photograph(64, 80)).save(folder / "b.png")
    assert open_store(folder, cache, minimum=32).shapes == [(64, 64), (64, 80)]
    assert open_store(folder, cache, minimum=64).shapes == [(64, 64), (64, 80)]
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(UsageError, match="no image of at least 65 px"):
        open_store(folder, cache, minimum=65)


def test_deep_grey_and_broken_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    Image.fromarray(np.full((64, 70), 0x8080, np.uint16)).save(folder / "deep.png")
    Image.fromarray(photograph(64, 80, channels=1)[..., 0]).save(folder / "grey.png")
    whole = (folder / "grey.png").read_bytes()
    (folder / "torn.png").write_bytes(whole[: len(whole) // 2])
    (folder / "bomb.png").write_bytes(whole[:16] + b"\0\1\0\0\0\1\0\0" + whole[24:])
    (folder / "README").write_text("pictures")
    store = open_store(folder, tmp_path / "pixels.bin", minimum=64)
    assert store.shapes == [(64, 70), (64, 80)]
    assert (store.picture(0) == 0x80).all()
    assert (store.picture(1) == photograph(64, 80, channels=1)).all()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        open_store(tmp_path / "none", tmp_path / "pixels.bin", minimum=1)


def test_crops_are_a_function_of_seed_rank_and_step(store: PixelStore) -> None:
    def sampler(**options: int) -> CropSampler:
        return CropSampler(store, size=64, batch=4, **{"seed": 1, **options})

    crops = sampler().crops(5)
    assert crops.shape == (4, 3, 64, 64)
    assert crops.dtype == torch.uint8
    assert crops.equal(sampler().crops(5))
    for other in (sampler().crops(6), sampler(seed=2).crops(5), sampler(rank=1).crops(5)):
        assert not crops.equal(other)


def test_crops_come_from_the_pictures(store: PixelStore) -> None:
    """Each crop is found in a picture, as it is or mirrored; both happen."""
    found = set()
    for crop in CropSampler(store, size=180, batch=12, seed=0).crops(0).permute(0, 2, 3, 1).numpy():
        places = []
        for index in range(3):
            for mirrored in (False, True):
                wanted = crop[:, ::-1] if mirrored else crop
                picture = store.picture(index)
                corner = (picture == wanted[0, 0]).all(2)[: picture.shape[0] - 179, : picture.shape[1] - 179]
                for top, left in np.argwhere(corner):
                    if (picture[top : top + 180, left : left + 180] == wanted).all():
                        places.append((index, mirrored))
        assert len(places) == 1
        found.add(places[0])
    assert {index for index, _ in found} == {0, 1, 2}
    assert {mirrored for _, mirrored in found} == {False, True}


def test_levels_are_spread_over_the_batch(store: PixelStore) -> None:
    sampler = CropSampler(store, size=64, batch=8, seed=1)
    for step in range(20):
        levels = sampler.levels(step, 7)
        assert levels.dtype == torch.float32
        assert levels.sort().values.mul(8 / 7).floor().tolist() == list(range(8))  # one in each eighth
    assert not sampler.levels(0, 7).equal(sampler.levels(1, 7))


def test_load_crops_takes_the_centre(images: Path) -> None:
    (crop,) = load_crops(images, width=768, height=512)
    assert crop.shape == (1, 3, 512, 768)
    with Image.open(images / "2.png") as image:
        assert (crop[0].permute(1, 2, 0).numpy() == np.asarray(image)[4:516, 16:784]).all()
    with pytest.raises(UsageError, match="768x5120"):
        load_crops(images, width=768, height=5120)


def test_block_components_are_orthonormal_and_compact(store: PixelStore) -> None:
    components = block_components(store, 32, samples=3000)
    assert components.shape == (32, 768)
    assert torch.allclose(components @ components.T, torch.eye(32), atol=1e-4)
    # In the order of pixel_unshuffle: few of them describe a picture that was left out.
    x = torch.from_numpy(photograph(192, 192, seed=9)).permute(2, 0, 1)[None] / 255 - 0.5
    blocks = F.pixel_unshuffle(x, 16).flatten(2)[0]
    energy = (components @ blocks).square().sum() / blocks.square().sum()
    assert energy > 0.9
    # In another order of colours, rows and columns they do not fit.
    wrong = components.view(32, 3, 256).transpose(1, 2).reshape(32, 768)
    other = (wrong @ blocks).square().sum() / blocks.square().sum()
    assert energy > other + 0.05


def flat_store() -> PixelStore:
    """A picture of one colour, 300 pixels a side, with a fine chequerboard in its left half."""
    picture = np.full((300, 300, 3), 100, np.uint8)
    picture[::2, :150:2] = 140
    picture[1::2, 1:150:2] = 140
    return PixelStore(picture.reshape(-1), [(300, 300)], np.array([0]))


def test_reduced_crops_have_lost_what_is_finer_than_their_pixels() -> None:
    plain = CropSampler(flat_store(), size=140, batch=8, seed=0).crops(0).float()
    reduced = CropSampler(flat_store(), size=140, batch=8, seed=0, reduced_share=1.0).crops(0).float()
    assert reduced.shape == plain.shape
    assert plain.std(dim=(1, 2, 3)).max() > 15
    assert reduced.std(dim=(1, 2, 3)).max() < 12


def test_a_picture_too_small_to_be_reduced_by_half_is_reduced_by_less() -> None:
    sampler = CropSampler(flat_store(), size=290, batch=4, seed=0, reduced_share=1.0)
    assert sampler.crops(0).shape == (4, 3, 290, 290)


def test_grain_is_of_one_to_four_levels_and_mostly_grey() -> None:
    picture = np.full((200, 200, 3), 128, np.uint8)
    store = PixelStore(picture.reshape(-1), [(200, 200)], np.array([0]))
    crops = CropSampler(store, size=128, batch=16, seed=1, grain_share=1.0).crops(0).float()
    deviations = crops.std(dim=(1, 2, 3))
    assert 0.9 < deviations.min() < 2 and 3 < deviations.max() < 4.5
    assert torch.allclose(crops.mean(dim=(1, 2, 3)), torch.tensor(128.0), atol=0.2)
    red, green = crops[:, 0].flatten(1), crops[:, 1].flatten(1)
    assert ((red - green).std(1) < 0.6 * deviations).all()
