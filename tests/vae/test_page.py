"""The page with sliders: nothing but itself, and in a browser the very pictures of the decoder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from browser import faults

from neuralcodec.vae.data import read_shape
from neuralcodec.vae.model import VAE, VaeConfig
from neuralcodec.vae.page import page


@pytest.fixture
def html(model: VAE) -> str:
    return page(model, "a <b>&")


def test_it_needs_nothing_else(html: str) -> None:
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "url(" not in html
    assert "default-src 'none'" in html
    assert "<h1>a &lt;b&gt;&amp;</h1>" in html


def test_what_carries_most_comes_first(model: VAE, html: str) -> None:
    kl = model.trained["kl"]
    assert isinstance(kl, list)
    order = [int(number) for number in re.findall(r'data-latent="(\d+)"', html)]
    assert order == sorted(range(10), key=lambda latent: -kl[latent])


def test_it_begins_with_a_picture(model: VAE) -> None:
    picture = read_shape(12_345, 1)
    z = model.encode(torch.from_numpy(picture))[0][0].tolist()
    html = page(model, "from a picture", 4.5, picture)
    found = re.findall(r'value="(-?[\d.]+)" data-latent="(\d+)"', html)
    values = {int(latent): float(value) for value, latent in found}
    assert [values[latent] for latent in range(10)] == pytest.approx(z, abs=1e-4)
    assert html.count('min="-4.5" max="4.5"') == 10


#: Moves two sliders as a hand would, and compares what is drawn with pixels of the model.
CHECK = """
const canvas = document.getElementById("picture"), expected = EXPECTED;
const drawn = () => [...canvas.getContext("2d").getImageData(0, 0, 64, 64).data];
const compare = (pixels, what) => {
  const seen = drawn();
  let worst = 0;
  pixels.forEach((value, place) => { worst = Math.max(worst, Math.abs(value - seen[place])); });
  if (worst > 2) fault(`${what}: ${worst} of 255 away`);
};
compare(expected.zero, "at zero");
for (const [latent, value] of [[0, 1.5], [3, -2]]) {
  const slider = document.querySelector(`input[data-latent="${latent}"]`);
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  if (slider.nextElementSibling.value !== value.toFixed(2)) fault("the number is not shown");
}
compare(expected.moved, "moved");
document.getElementById("sample").click();
const values = [...document.querySelectorAll("input[data-latent]")].map(slider => Number(slider.value));
if (new Set(values).size < 5) fault(`no sample: ${values}`);
document.getElementById("zero").click();
compare(expected.zero, "back at zero");
if (document.documentElement.scrollWidth > innerWidth) fault("wider than the window");
const {width, height} = document.getElementById("picture").getBoundingClientRect();
if (Math.abs(width - height) > 1) fault(`the picture is stretched: ${width} by ${height}`);
for (const control of document.querySelectorAll("button, input")) {
  if (control.getBoundingClientRect().height < 44) fault(`too small to touch: ${control.id}`);
}
"""


def pixels_of(model: VAE, z: torch.Tensor) -> list[int]:
    """What the canvas should hold: red, green, blue and alpha of each pixel."""
    picture = (255 * model.decode(z[None])[0]).round()
    colours = picture.expand(3, 64, 64)
    return torch.cat([colours, torch.full((1, 64, 64), 255.0)]).permute(1, 2, 0).flatten().int().tolist()


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("channels", [1, 3])
def test_in_a_browser(model: VAE, channels: int, width: int, tmp_path: Path) -> None:
    if channels == 3:
        torch.manual_seed(0)
        model = VAE(VaeConfig(3)).requires_grad_(False)
    moved = torch.zeros(10)
    moved[0], moved[3] = 1.5, -2
    expected = {"zero": pixels_of(model, torch.zeros(10)), "moved": pixels_of(model, moved)}
    check = CHECK.replace("EXPECTED", json.dumps(expected))
    assert faults(page(model, "sliders"), check, width, tmp_path) == []
