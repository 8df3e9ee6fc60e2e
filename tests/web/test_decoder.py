"""The decoder of `web/`: the latents of the package's, pixels within a level, no harm by bad files."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import photograph
from golden import matrix
from PIL import Image, ImageCms, ImageOps

import neuralcodec
from neuralcodec import weights
from neuralcodec.coding.progressive import truncate
from neuralcodec.format import container
from neuralcodec.format.chunks import TILE, write_chunk
from neuralcodec.format.header import parse_header
from neuralcodec.format.varint import parse_varint

from .chromium import run

GOLDEN = matrix.golden()

LATENTS = """
const {Container} = await import("/web/lib/container.js");
const {Library} = await import("/web/lib/weights.js");
const {Prior, StagePrior} = await import("/web/lib/prior.js");
const bytes = async path => new Uint8Array(await (await fetch(path)).arrayBuffer());
const library = new Library(name => bytes(`/web/weights/${name}`));
const hex = digest => [...new Uint8Array(digest)].map(n => n.toString(16).padStart(2, "0")).join("");
const found = {};
for (const name of NAMES) {
  const file = new Container({maxPixels: 2 ** 20});
  // As slow as can be.
  for (const byte of await bytes(`/tests/golden/${name}`)) file.push(Uint8Array.of(byte));
  file.finish();
  const {width, height, tile, stages, quality, weights: id} = file.header, weights = await library.find(id);
  const prior = weights.model.stages ? new StagePrior(weights, stages) : new Prior(weights);
  const rows = Math.ceil(height / 16), columns = Math.ceil(width / 16), size = tile / 16, C = prior.latent;
  const all = new Int32Array(stages * rows * columns * C), states = new Map();
  for (let stage = 0, n = 0; stage < stages; stage++) {
    for (let top = 0; top < rows; top += size) for (let left = 0; left < columns; left += size, n++) {
      const h = Math.min(size, rows - top), w = Math.min(size, columns - left), place = `${top} ${left}`;
      if (prior.start && !stage) states.set(place, prior.start(h, w));
      const latent = prior.start ? prior.decode(file.tiles[n], stage, states.get(place))
        : prior.decode(file.tiles[n], weights.levels(quality).quality, h, w);
      for (let row = 0; row < h; row++) {
        const to = (stage * rows + top + row) * columns + left;
        all.set(latent.subarray(row * w * C, (row + 1) * w * C), to * C);
      }
    }
  }
  found[name] = hex(await crypto.subtle.digest("SHA-256", all.buffer));
}
return found;
"""


def test_latents_of_golden_files_bit_for_bit(tmp_path: Path) -> None:
    found, _ = run(LATENTS.replace("NAMES", json.dumps(sorted(GOLDEN))), tmp_path)
    assert found == {name: entry["latents_sha256"] for name, entry in GOLDEN.items()}


def pixels_of(found: dict[str, Any], sent: dict[str, bytes], name: str) -> np.ndarray:
    """Pixels `(H, W, 4)` that a page has put."""
    return (
        np.frombuffer(sent[name], np.uint8)
        .reshape(found[name]["height"], found[name]["width"], 4)
        .astype(int)
    )


DECODE = """
const found = {};
for (const name of NAMES) {
  const image = await nc.decode(FOLDER + name);
  found[name] = {width: image.width, height: image.height, colorSpace: image.colorSpace};
  await put(name, image.data);
}
return found;
"""


def decoded(
    names: list[str], folder: str, tmp_path: Path, **options: Any
) -> dict[str, tuple[str, np.ndarray]]:
    """Colour space and pixels `(H, W, 4)` of files."""
    script = DECODE.replace("NAMES", json.dumps(names)).replace("FOLDER", json.dumps(folder))
    found, sent = run(script, tmp_path, **options)
    return {name: (found[name]["colorSpace"], pixels_of(found, sent, name)) for name in names}


def test_pixels_of_golden_files_within_one_level(tmp_path: Path) -> None:
    for name, (space, pixels) in decoded(sorted(GOLDEN), "/tests/golden/", tmp_path).items():
        with Image.open((matrix.FOLDER / name).with_suffix(".png")) as image:
            expected = np.asarray(image.convert("RGBA")).astype(int)
        assert space == "srgb"
        assert np.abs(pixels - expected).max() <= 1, name
        np.testing.assert_array_equal(pixels[..., 3], expected[..., 3])


def close(pixels: np.ndarray, expected: Image.Image) -> None:
    """The picture, but for rounding in the last layers: the other decoder may work in bfloat16."""
    difference = np.abs(pixels - np.asarray(expected.convert("RGBA")).astype(int))
    assert difference.max() <= 4
    assert difference.mean() < 0.5


def test_a_picture_of_several_windows(tmp_path: Path) -> None:
    data = neuralcodec.encode(photograph(100, 4500), quality=20)
    [(_, pixels)] = decoded(["a.nc"], "/", tmp_path, files={"a.nc": data}).values()
    close(pixels, neuralcodec.decode(data))


def curve(kind: str, *values: int) -> bytes:
    """A tag of an ICC profile: a parametric curve."""
    assert kind == "para"
    return struct.pack(">4sIHH", b"para", 0, 3, 0) + struct.pack(f">{len(values)}i", *values)


def profile(primaries: list[float], gamma: tuple[float, ...]) -> bytes:
    """An ICC profile of three primaries and a curve."""
    parametric = curve("para", *(round(value * 65536) for value in gamma))
    tags = {b"%cTRC" % c: parametric for c in b"rgb"}
    for n, c in enumerate(b"rgb"):
        values = (round(value * 65536) for value in primaries[3 * n : 3 * n + 3])
        tags[b"%cXYZ" % c] = struct.pack(">4sI3i", b"XYZ ", 0, *values)
    tags[b"wtpt"] = struct.pack(">4sI3i", b"XYZ ", 0, 63190, 65536, 54061)
    text = "test".encode("utf-16-be")
    for name in (b"desc", b"cprt"):
        tags[name] = struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"enUS", len(text), 28) + text
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"\0\0\0\0", 0x04000000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
P3 = profile([0.51512, 0.2412, -0.00105, 0.29198, 0.69225, 0.04189, 0.1571, 0.06657, 0.78407], SRGB_CURVE)
ADOBE = profile(
    [0.60974, 0.31111, 0.01947, 0.20528, 0.62567, 0.06087, 0.14919, 0.06322, 0.74457],
    (2.2, 1.0, 0.0, 0.0, 0.0),
)


def test_profiles(tmp_path: Path) -> None:
    profiles = {
        "none": None,
        "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "p3": P3,
        "adobe": ADOBE,
        "junk": b"\0" * 16 + b"RGB " + b"\xff" * 200,
    }
    plain = container.read(neuralcodec.encode(photograph(40, 60), quality=60))
    files = {name: container.write(replace(plain, icc=icc)) for name, icc in profiles.items()}
    found = decoded(list(files), "/", tmp_path, files=files)
    assert [found[name][0] for name in ("none", "srgb", "p3", "adobe")] == [
        "srgb",
        "srgb",
        *["display-p3"] * 2,
    ]
    picture = neuralcodec.decode(files["none"])
    for name in ("none", "srgb", "p3"):
        close(found[name][1], picture)
    # Of another profile the browser makes the same colours in a canvas that is wide.
    matching = ImageCms.profileToProfile(
        picture, ImageCms.ImageCmsProfile(io.BytesIO(ADOBE)), ImageCms.ImageCmsProfile(io.BytesIO(P3))
    )
    assert np.abs(np.asarray(picture).astype(int) - np.asarray(matching)).max() > 8
    close(found["adobe"][1], matching)
    assert found["junk"][1].shape == (40, 60, 4)


def test_orientation(tmp_path: Path) -> None:
    files, expected = {}, {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(photograph(24, 40, seed=orientation))
        image.putalpha(Image.fromarray(photograph(24, 40, channels=1, seed=9)[..., 0]))
        image.info["exif"] = exif.tobytes()
        name = f"{orientation}.nc"
        files[name] = neuralcodec.encode(image, quality=80)
        shown = neuralcodec.decode(files[name])
        assert shown.getexif()[0x0112] == orientation
        expected[name] = ImageOps.exif_transpose(shown)
    for name, (_, pixels) in decoded(list(files), "/", tmp_path, files=files).items():
        close(pixels, expected[name])


STAGES = """
const bytes = new Uint8Array(await (await fetch("/stages.nc")).arrayBuffer()), found = {}, order = [];
const keep = async (name, image) => {
  found[name] = {width: image.width, height: image.height};
  await put(name, image.data);
};
const sent = [];
// The rest comes when a picture of what there is has been shown.
let goOn;
const seen = new Promise(resolve => (goOn = resolve));
const stream = new ReadableStream({async start(controller) {
  controller.enqueue(bytes.slice(0, FIRST));
  await seen;
  controller.enqueue(bytes.slice(FIRST));
  controller.close();
}});
const onPreview = (image, facts) => {
  order.push([facts.stage, facts.stages, facts.bytes]);
  sent.push(keep(`stream ${facts.stage}`, image));
  goOn();
};
await keep("stream", await nc.decode(stream, {onPreview}));
const onEvery = (image, {stage}) => sent.push(keep(`every ${stage}`, image));
await nc.decode(bytes, {everyStage: true, onPreview: onEvery});
await keep("third", await nc.decode(bytes, {stage: 3}));
await keep("cut", await nc.decode(bytes.slice(0, FIRST)));
await Promise.all(sent);
return [found, order];
"""


def test_a_file_in_stages(tmp_path: Path) -> None:
    data = neuralcodec.encode(photograph(90, 140, seed=4), model="gru", quality=100)
    two = truncate(data, stages=2)
    first = len(two) + 5  # the end chunk of the shorter file is as long as what comes of a third stage
    [found, order], sent = run(STAGES.replace("FIRST", str(first)), tmp_path, files={"stages.nc": data})
    assert order == [[2, 8, first]]
    expected = {f"every {stage}": stage for stage in range(1, 8)}
    expected |= {"stream": 8, "stream 2": 2, "third": 3, "cut": 2}
    assert sorted(found) == sorted(expected)
    for name, stage in expected.items():
        pixels = pixels_of(found, {key.replace("%20", " "): value for key, value in sent.items()}, name)
        close(pixels, neuralcodec.decode(data, stage=stage))


PAGE = """
const shown = image => new Promise((resolve, reject) => {
  image.addEventListener("nc-load", () => resolve(image.decode()));
  image.addEventListener("nc-error", ({detail}) => reject(detail.error));
});
document.body.innerHTML = '<p><img id="one" data-nc="/tests/golden/rgb.nc"></p>';
await shown(document.querySelector("img"));
const one = document.querySelector("img");
const other = new Image();
other.dataset.nc = "/tests/golden/stages.nc";
other.loading = "lazy";
document.body.append(other);
await shown(other);
const broken = new Image();
broken.dataset.nc = "/web/package.json";
document.body.append(broken);
const error = await shown(broken).catch(error => error);
const missing = await nc.decode("/no/such/file.nc").catch(error => error);
const abort = new AbortController();
const aborted = nc.decode("/tests/golden/rgb.nc", {signal: abort.signal}).catch(error => error);
abort.abort();
const large = await nc.decode("/tests/golden/rgb.nc", {maxPixels: 6000}).catch(error => error);
const shares = [];
await nc.decode("/tests/golden/rgba.nc", {onProgress: share => shares.push(share)});
const blob = await nc.decodeToBlob("/tests/golden/rgba.nc");
await put("png", blob);
return {
  sizes: [one, other].map(image => [image.naturalWidth, image.naturalHeight]),
  errors: [error, missing, large, await aborted].map(({name, message}) => [name, message]),
  shares, type: blob.type,
};
"""


def test_a_page_shows_its_images(tmp_path: Path) -> None:
    found, sent = run(PAGE, tmp_path)
    assert found["sizes"] == [[96, 64], [100, 70]]
    names, messages = zip(*found["errors"], strict=True)
    assert names == ("DamagedFileError", "NeuralCodecError", "DamagedFileError", "AbortError")
    assert "not an .nc file" in messages[0]
    assert "404" in messages[1]
    assert "96x64 pixels, more than the limit of 6000" in messages[2]
    assert found["shares"] == sorted(found["shares"])
    assert found["shares"][-1] == 1
    assert found["type"] == "image/png"
    with Image.open(io.BytesIO(sent["png"])) as image, Image.open(matrix.FOLDER / "rgba.png") as expected:
        assert image.mode == "RGBA"
        assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).max() <= 1


APP = """
const frame = document.createElement("iframe");
frame.src = "/web/index.html";
frame.width = 900; frame.height = 700;
document.body.append(frame);
await new Promise(resolve => frame.addEventListener("load", resolve));
const inside = frame.contentDocument, $ = id => inside.getElementById(id);
const drop = async (...names) => {
  const carried = new frame.contentWindow.DataTransfer();
  for (const name of names) {
    const content = await (await fetch(name)).blob();
    carried.items.add(new frame.contentWindow.File([content], name.split("/").pop()));
  }
  inside.dispatchEvent(new frame.contentWindow.DragEvent("drop", {dataTransfer: carried, bubbles: true}));
};
const until = async what => { while (!what()) await new Promise(resolve => setTimeout(resolve, 20)); };
const before = $("save").disabled;
await drop("/tests/golden/rgb.nc", "/tests/golden/rgb.png");
await until(() => !$("second").hidden);
$("cut").value = 20;
$("cut").dispatchEvent(new frame.contentWindow.Event("input"));
const cut = frame.contentWindow.getComputedStyle($("second")).clipPath;
let saved;
inside.addEventListener("click", event => {
  if (event.target.download) { saved = event.target; event.preventDefault(); }
}, true);
frame.contentWindow.HTMLAnchorElement.prototype.click = function () { saved = this; };
$("save").click();
await put("saved", await (await fetch(saved.href)).blob());
const facts = $("facts").textContent;
await drop("/web/package.json");
await until(() => $("error").textContent);
const sizes = [$("first"), $("second")].map(
  image => [image.naturalWidth, image.naturalHeight, Math.round(image.getBoundingClientRect().width)]);
return {before, cut, facts, name: saved.download, error: $("error").textContent, sizes};
"""


def test_the_page_for_dropped_files(tmp_path: Path) -> None:
    found, sent = run(APP, tmp_path)
    assert found["before"]
    assert found["cut"] == "inset(0px 0px 0px 20%)"
    assert found["sizes"] == [[96, 64, 96], [96, 64, 96]]
    size = (matrix.FOLDER / "rgb.nc").stat().st_size
    assert f"rgb.nc: 96 × 64, {size:,} bytes" in found["facts"]
    assert "rgb.png" in found["facts"]
    assert found["name"] == "rgb.png"
    assert "no picture that the browser knows" in found["error"]
    with Image.open(io.BytesIO(sent["saved"])) as image, Image.open(matrix.FOLDER / "rgb.png") as expected:
        assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).max() <= 1


PREPARED = """
const library = await import("/web/lib/weights.js"), {Decoder} = await import("/web/lib/decoder.js");
const read = async name => new Uint8Array(await (await fetch(`/web/weights/${name}`)).arrayBuffer());
const names = [], shares = [];
const decoder = new Decoder(new library.Library(name => (names.push(name), read(name))));
await decoder.prepare();
const loaded = [...names];
const bytes = new Uint8Array(await (await fetch("/file.nc")).arrayBuffer());
const parts = async function* () { yield bytes; };
const picture = await decoder.decode(parts(), {onProgress: share => shares.push(share)});
await decoder.prepare(); // too late for anything: it ends at once
const index = new TextEncoder().encode('{"0": {"file": "conv-old-0.safetensors"}}');
const old = new Decoder(new library.Library(async () => index));
const error = await old.prepare().catch(error => error);
await nc.prepare();
await put("picture", (await nc.decode("/file.nc")).data);
return {loaded, names, channels: picture.channels, last: shares.at(-1), error: [error.name, error.message]};
"""


def test_ready_before_a_picture(tmp_path: Path) -> None:
    data = neuralcodec.encode(photograph(80, 120, seed=2), quality=70)
    found, sent = run(PREPARED, tmp_path, files={"file.nc": data})
    newest = weights.by_name("conv").path.name
    assert found["loaded"] == found["names"] == ["index.json", newest]
    assert found["channels"] == 3 and found["last"] == 1
    assert found["error"] == ["NeuralCodecError", "these weights are of old files alone"]
    close(np.frombuffer(sent["picture"], np.uint8).reshape(80, 120, 4).astype(int), neuralcodec.decode(data))


def repaired(data: bytes) -> bytes:
    """The file with checksums that fit, as far as the lengths of its chunks make sense."""
    try:
        at = parse_header(data)[1]
    except neuralcodec.DamagedFileError:
        return data
    header_crc, out, tiles = zlib.crc32(data[:at]), data[:at], 0
    while at < len(data):
        try:
            length, start = parse_varint(data, at + 1, "a chunk")
        except neuralcodec.DamagedFileError:
            break
        kind = chr(data[at] & 0x7F)
        out += write_chunk(kind, tiles if kind == TILE else 0, data[start : start + length], header_crc)
        tiles += kind == TILE
        at = start + length + 4
    return out


def mutated(seeds: list[bytes], count: int) -> list[bytes]:
    """Files with bytes changed, removed, repeated or cut off; every other one with checksums that fit."""
    random_ = random.Random(0)
    files = []
    for number in range(count):
        data = bytearray(random_.choice(seeds))
        for _ in range(random_.randint(1, 2)):
            at = (
                random_.randrange(len(data))
                if random_.random() < 0.9
                else random_.randrange(min(24, len(data)))
            )
            kind = random_.randrange(6)
            if kind < 3:
                data[at] = random_.choice((0, 1, 0x7F, 0x80, 0xFF, random_.randrange(256)))
            elif kind == 3:
                del data[at : at + random_.randint(1, 8)]
            elif kind == 4:
                data[at:at] = data[at : at + random_.randint(1, 40)]
            else:
                del data[max(at, 10) :]
            if len(data) < 4:
                break
        files.append(repaired(bytes(data)) if number % 2 else bytes(data))
    return files


MUTATED = """
const bytes = new Uint8Array(await (await fetch("/files")).arrayBuffer()), found = {};
let at = 0, slowest = 0, largest = 0;
for (const length of LENGTHS) {
  const start = performance.now();
  try {
    const image = await nc.decode(bytes.slice(at, at + length), {maxPixels: 2 ** 14});
    found.picture = (found.picture ?? 0) + 1;
    largest = Math.max(largest, image.width * image.height);
  } catch (error) {
    const name = error instanceof nc.NeuralCodecError ? error.name : `${error.name}: ${error.message}`;
    found[name] = (found[name] ?? 0) + 1;
  }
  slowest = Math.max(slowest, performance.now() - start);
  at += length;
}
return {found, slowest, largest};
"""


@pytest.mark.timeout(500)
def test_mutated_files(tmp_path: Path) -> None:
    tiny = Image.fromarray(photograph(20, 24, seed=1))
    with_alpha = tiny.copy()
    with_alpha.putalpha(Image.fromarray(photograph(20, 24, channels=1, seed=2)[..., 0]))
    with_alpha.info["icc_profile"] = P3
    exif = Image.Exif()
    exif[0x0112] = 6
    with_alpha.info["exif"] = exif.tobytes()
    seeds = [
        neuralcodec.encode(tiny, quality=60),
        neuralcodec.encode(with_alpha, quality=90),
        neuralcodec.encode(Image.fromarray(photograph(20, 24, channels=1)[..., 0]), quality=5),
        neuralcodec.encode(tiny, model="gru", quality=40),
    ]
    files = mutated(seeds, 1000)
    script = MUTATED.replace("LENGTHS", json.dumps([len(data) for data in files]))
    answer, _ = run(script, tmp_path, files={"files": b"".join(files)}, timeout=450, memory=2**31)
    assert set(answer["found"]) == {"picture", "DamagedFileError"}, answer
    assert sum(answer["found"].values()) == 1000
    assert answer["found"]["picture"] > 100
    assert answer["found"]["DamagedFileError"] > 300
    assert answer["largest"] <= 2**14
    assert answer["slowest"] < 60_000
