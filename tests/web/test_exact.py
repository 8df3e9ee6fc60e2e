"""Integer layers in a page: what integers of any width give, for layers of any size."""

from __future__ import annotations

from pathlib import Path

from .chromium import run

LAYERS = """
const {Dense} = await import("/web/lib/exact.js");
let seed = 1;
const random = (low, high) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return low + Math.floor((seed / 2 ** 32) * (high - low + 1));
};
const many = (count, low, high) => Array.from({length: count}, () => random(low, high));
const wrong = [];
let largest = 0;
const sizes = [1, 4, 5, 66].flatMap(inputs => [1, 8, 11, 24].flatMap(outputs =>
  [1, 4, 63, 130].map(positions => [inputs, outputs, positions])));
for (const [inputs, outputs, positions] of sizes) {
  const limit = Math.floor(2 ** 24 / (8192 * inputs)) - 1;
  const weight = many(inputs * outputs, -limit, limit), bias = many(outputs, -8192, 8192);
  const shift = many(outputs, 0, 23), order = [...Array(outputs).keys()].reverse();
  const low = many(outputs, -100, 0), high = many(outputs, 0, 9000);
  const layer = new Dense({weight, bias, shift}, low, high, order);
  const plane = Float32Array.from(many(positions * inputs, -8192, 8192));
  const some = [...Array(positions).keys()].filter(n => n % 3 === 1);
  for (const rows of [null, some]) {
    const out = layer.run(plane, positions, rows);
    (rows ?? [...Array(positions).keys()]).forEach((position, k) => order.forEach((row, n) => {
      let sum = bias[row];
      for (let c = 0; c < inputs; c++) sum += weight[row * inputs + c] * plane[position * inputs + c];
      largest = Math.max(largest, Math.abs(sum));
      const expected = Math.min(Math.max(Math.floor(sum / 2 ** shift[row]), low[n]), high[n]);
      if (out[k * outputs + n] !== expected) wrong.push([inputs, outputs, positions, position, n]);
    }));
    if (out.length !== (rows ? some.length : positions) * outputs) wrong.push([inputs, outputs, positions]);
  }
}
return {wrong: wrong.slice(0, 5), largest};
"""


def test_dense_layers_of_any_size(tmp_path: Path) -> None:
    found, _ = run(LAYERS, tmp_path)
    assert found["wrong"] == []
    assert 2**23 < found["largest"] < 2**24
