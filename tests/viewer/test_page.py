"""The page to look at a picture: self-contained, within its limits, and alive in a browser."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import faults
from conftest import photograph
from PIL import Image

from neuralcodec import UsageError
from neuralcodec.picture.picture import Picture
from neuralcodec.viewer import page as viewer
from neuralcodec.viewer.page import Frame, page


def frame(label: str = "a.nc", *, seed: int = 0, height: int = 300, size: int = 1000) -> Frame:
    return Frame(label, size, Picture(photograph(height, 480, seed=seed)))


def pictures_in(html: str) -> list[Image.Image]:
    sources = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(source))) for source in sources]


@pytest.fixture(scope="module")
def two() -> str:
    return page([frame("a <b>&.nc")], frame("b.png", seed=1, size=4000))


@pytest.fixture(scope="module")
def received() -> str:
    """Three states of a file that is on its way, beside the original."""
    return page([frame(f"{n} bytes", seed=n, size=n) for n in (100, 200, 300)], frame("b.png", seed=9))


def test_it_needs_nothing_else(two: str) -> None:
    assert not re.search(r'(?:src|href)="(?!data:)', two)
    assert "url(" not in two
    assert "@import" not in two
    assert "a &lt;b&gt;&amp;.nc" in two
    assert "<b>&" not in two


def test_names_are_text_wherever_they_stand() -> None:
    name = "\"' onload='x' </title></dt><b>&amp; é {name}"
    found: Counter[str] = Counter()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            assert tag != "b" or not attributes
            assert not any(key.startswith("on") for key, _ in attributes)
            found.update(value for key, value in attributes if value and key in ("alt", "aria-label"))

        def handle_data(self, data: str) -> None:
            found[data] += 1

    Reader().feed(page([frame(name), frame(name, seed=1)], frame(name, seed=2), slider=name))
    expected = {
        f"{name} against {name}": 2,  # the title and the heading
        name: 3 + 3 + 1 + 1,  # measures, names on the stage, the slider, and what the other picture shows
        f"decoded from {name}": 2,
        f"{name} to the left, {name} to the right": 1,
        f"{name}: {name} to {name}": 1,
    }
    assert {text: count for text, count in found.items() if "onload" in text} == expected


def test_pictures_are_exact() -> None:
    one, other = frame(), frame(seed=1)
    shown = pictures_in(page([one], other))
    for image, expected in zip(shown, (one, other), strict=True):
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected.picture.pixels)


def test_profile_and_transparency_are_kept() -> None:
    pixels, profile = photograph(30, 40), b"\0" * 16 + b"RGB " + b"\0" * 108
    alpha = photograph(30, 40, channels=1, seed=1)[..., 0]
    [image] = pictures_in(page([Frame("a", 1, Picture(pixels, alpha, profile, exif=b"II*\0"))]))
    assert image.info["icc_profile"] == profile
    assert "exif" not in image.info  # or it would be turned twice
    np.testing.assert_array_equal(np.asarray(image), np.dstack([pixels, alpha]))


def test_facts(two: str) -> None:
    text = re.sub(r"<[^>]+>", "", two[two.index("<dl>") : two.index("</dl>")])
    assert re.search(r"1,000 bytes 0\.056 bpp MS-SSIM 0\.\d{4} PSNR \d+\.\d\d dB 25 % of the other", text)
    assert "4,000 bytes 0.222 bpp" in text
    assert "the same pixels" in page([frame()], frame())


@pytest.mark.parametrize(
    ("size", "count", "expected"),
    [
        ((2048, 2048), 1, (2048, 2048)),
        ((6000, 4000), 2, (2508, 1672)),
        ((6000, 4000), 16, (1254, 836)),
        ((100_000, 10), 1, (16383, 1)),
    ],
)
def test_what_goes_into_a_page_is_bounded(
    size: tuple[int, int], count: int, expected: tuple[int, int]
) -> None:
    assert viewer._shown_size(*size, count) == expected


def test_a_large_picture_is_reduced_and_measured_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "PICTURE_PIXELS", 480 * 300 // 4)
    full = page([frame()], frame(seed=1))
    assert [image.size for image in pictures_in(full)] == [(240, 150)] * 2
    assert "480 × 300 pixels, shown at 240 × 150" in full
    monkeypatch.undo()
    [measured] = re.findall(r"MS-SSIM [\d.]+", full)
    assert measured in page([frame()], frame(seed=1))


def test_grey_against_colour() -> None:
    grey = Frame("grey", 1, Picture(photograph(200, 480, channels=1)))
    assert "MS-SSIM" in page([grey], frame(height=200))


def test_other_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"b.png has 480x200 pixels, a.nc 480x300"):
        page([frame()], frame("b.png", height=200))


COMMON = """
const stage = document.getElementById("stage");
const image = () => [...stage.querySelectorAll(".layer:not([hidden]) img")][0].getBoundingClientRect();
const shape = image().width / image().height;
for (const picture of document.images) if (!picture.naturalWidth) fault(`no picture: ${picture.alt}`);
if (Math.abs(shape - 1.6) > 0.02) fault(`wrong shape: ${shape}`);
if (document.documentElement.scrollWidth > innerWidth) fault("wider than the window");
if (document.documentElement.scrollHeight > innerHeight) fault("higher than the window");
for (const button of document.querySelectorAll("button, input")) {
  const {height, right, bottom} = button.getBoundingClientRect();
  if (height < 44 || right > innerWidth || bottom > innerHeight) fault(`out of reach: ${button.id}`);
}
const near = (a, b, what) => { if (Math.abs(a - b) > 0.6) fault(`${what}: ${a}, not ${b}`); };
const fitted = image().width;
near(fitted, Math.min(480, stage.clientWidth), "all of it");
document.getElementById("in").click();
near(image().width, 2 * fitted, "+");
document.getElementById("out").click();
near(image().width, fitted, "-");
document.getElementById("out").click();
near(image().width, fitted, "it cannot be smaller than all of it");
const key = name => stage.dispatchEvent(new KeyboardEvent("keydown", {key: name, cancelable: true}));
key("1");
near(image().width, 480, "key 1");
for (let n = 0; n < 3; n++) key("+");
near(image().width, 3840, "key +");
if (document.getElementById("scale").textContent !== "800 %") fault("the scale shown is wrong");
if (!stage.classList.contains("pixels")) fault("pixels are blurred");
const left = image().left;
key("ArrowLeft");
near(image().left, left + 64, "arrow");
for (let n = 0; n < 100; n++) key("ArrowRight");
near(image().right, stage.getBoundingClientRect().right, "the picture stays on the stage");
const box = stage.getBoundingClientRect();
const pointer = (type, id, x, y, target = stage) => target.dispatchEvent(new PointerEvent(type, {
  pointerId: id, clientX: box.left + x, clientY: box.top + y, bubbles: true, isPrimary: id === 1}));
stage.setPointerCapture = () => {};
key("0");
const wide = image().width;
pointer("pointerdown", 1, 100, 100); pointer("pointerdown", 2, 200, 100);
pointer("pointermove", 2, 300, 100);
pointer("pointerup", 1, 100, 100); pointer("pointerup", 2, 300, 100);
near(image().width, 2 * wide, "two fingers");
key("+");
const before = image().left;
pointer("pointerdown", 1, 200, 100); pointer("pointermove", 1, 190, 100); pointer("pointerup", 1, 190, 100);
near(image().left, before - 10, "one finger");
pointer("pointermove", 1, 100, 100);
near(image().left, before - 10, "no finger");
stage.dispatchEvent(new WheelEvent("wheel", {deltaY: 10000, clientX: box.left + 9, clientY: box.top + 9,
  bubbles: true, cancelable: true}));
near(image().width, fitted, "wheel");
"""
COMPARE = """
const slider = document.getElementById("cut"), above = stage.querySelector(".above");
for (const [value, expected] of [[50, "50%"], [20, "80%"], [100, "0%"]]) {
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  const clip = getComputedStyle(above).clipPath;
  if (!clip.includes(expected)) fault(`at ${value} the clip path is ${clip}`);
}
const grip = document.getElementById("grip");
pointer("pointerdown", 1, stage.clientWidth, 200, grip);
pointer("pointermove", 1, stage.clientWidth / 4, 200);
pointer("pointerup", 1, stage.clientWidth / 4, 200);
near(Number(slider.value), 25, "the grip moves the slider");
near(grip.getBoundingClientRect().left + 22 - box.left, stage.clientWidth / 4, "the grip follows");
"""
RECEIVED = """
const frames = document.getElementById("frame");
const seen = selector => [...document.querySelectorAll(selector)].filter(x => x.checkVisibility()).map(
  x => (x.alt || x.textContent).trim());
for (const [value, bytes] of [[2, 300], [0, 100], [1, 200]]) {
  frames.value = value;
  frames.dispatchEvent(new Event("input"));
  const found = [seen("dl [data-frame] dt"), seen(".layer[data-frame] img"), seen(".second")].map(String);
  const expected = [`${bytes} bytes`, `decoded from ${bytes} bytes`, `${bytes} bytes`];
  if (String(found) !== String(expected)) fault(`at ${value}: ${found}`);
  if (!frames.getAttribute("aria-valuetext").includes(`${bytes} bytes`)) fault("nothing is said to a reader");
}
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_it_works_in_a_browser(two: str, tmp_path: Path, width: int) -> None:
    assert faults(two, COMMON + COMPARE, width, tmp_path) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_slider_over_what_was_received(received: str, tmp_path: Path, width: int) -> None:
    assert faults(received, COMMON + COMPARE + RECEIVED, width, tmp_path) == []


@pytest.mark.parametrize(("scheme", "expected"), [(0, "dark"), (1, "light")])
def test_light_and_dark(tmp_path: Path, scheme: int, expected: str) -> None:
    check = f"""
const channel = Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]);
if ((channel < 128 ? "dark" : "light") !== "{expected}") fault(`the background is ${{channel}}`);
if (document.querySelector("#cut, #frame")) fault("sliders with nothing to slide");
"""
    setting = f"--blink-settings=preferredColorScheme={scheme}"
    assert faults(page([frame()]), COMMON + check, 1280, tmp_path, setting) == []
