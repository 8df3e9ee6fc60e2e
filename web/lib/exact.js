// Integer layers (docs/format.md, "Integer layers").
//
// No partial sum of a layer leaves ±2^24, so sums in float32 are exact, in whatever order.
//
// Planes are `Float32Array`s of integers, NHWC: position after position, at each channel after channel.

import {BLOCK, POSITIONS, kernels, memory} from "./kernel.js";

/** Positions that the kernel takes at once: few enough for their inputs to stay in a cache. */
const CHUNK = 64;

/** A layer that looks at one position: some rows of a stored one, in the order given. */
export class Dense {
  /** `arrays` are those of `exact.<name>`; `outputs` the numbers of its rows, or all of them. */
  constructor({weight, bias, shift}, low, high, outputs = [...bias.keys()]) {
    this.outputs = outputs.length;
    this.inputs = weight.length / bias.length;
    this.blocks = Math.ceil(this.outputs / BLOCK);
    // Block after block of outputs: their weights, input after input, then bias, scale, lowest and highest values.
    const size = BLOCK * (this.inputs + 4), stored = new Float32Array(size * this.blocks);
    outputs.forEach((row, n) => {
      const at = size * Math.floor(n / BLOCK) + (n % BLOCK), settled = at + BLOCK * this.inputs;
      for (let c = 0; c < this.inputs; c++) stored[at + BLOCK * c] = weight[row * this.inputs + c];
      stored[settled] = bias[row];
      stored[settled + BLOCK] = 2 ** -shift[row];
      stored[settled + 2 * BLOCK] = low.at?.(n) ?? low;
      stored[settled + 3 * BLOCK] = high.at?.(n) ?? high;
    });
    this.stored = memory.take(stored.length);
    memory.floats().set(stored, this.stored / 4);
  }

  /** The layer over a plane, at the positions listed in `rows` or at all of them: its outputs, position after position. */
  run(plane, positions, rows = null) {
    const count = rows ? rows.length : positions, {outputs, inputs, blocks} = this, wide = BLOCK * blocks;
    const x = memory.room("exact inputs", CHUNK * inputs), y = memory.room("exact outputs", CHUNK * wide);
    const out = new Float32Array(count * outputs), heap = memory.floats();
    for (let first = 0; first < count; first += CHUNK) {
      const last = Math.min(first + CHUNK, count);
      if (!rows) heap.set(plane.subarray(first * inputs, last * inputs), x / 4);
      for (let n = first, to = x / 4; rows && n < last; n++) {
        for (let c = 0, from = rows[n] * inputs; c < inputs; c++) heap[to++] = plane[from++];
      }
      kernels.denseExact(x, this.stored, y, Math.ceil((last - first) / POSITIONS), inputs, blocks);
      if (wide === outputs) out.set(heap.subarray(y / 4, y / 4 + (last - first) * wide), first * wide);
      else {
        for (let n = first, from = y / 4, to = first * outputs; n < last; n++, from += wide, to += outputs) {
          for (let o = 0; o < outputs; o++) out[to + o] = heap[from + o];
        }
      }
    }
    return out;
  }
}

/** Channels that the kernel of 3×3 layers takes at once. */
const VECTOR = 4;

/** A 3×3 layer, each channel by itself, zero beyond the border. */
export class Depthwise {
  constructor({weight, bias, shift}, low, high) {
    this.channels = bias.length;
    this.vectors = Math.ceil(this.channels / VECTOR);
    // For every four channels, nine taps, bias, scale, lowest and highest values.
    const size = 13 * VECTOR, stored = new Float32Array(size * this.vectors);
    for (let c = 0; c < this.channels; c++) {
      const at = size * Math.floor(c / VECTOR) + (c % VECTOR);
      const numbers = [...weight.subarray(9 * c, 9 * c + 9), bias[c], 2 ** -shift[c], low, high];
      numbers.forEach((number, n) => (stored[at + VECTOR * n] = number));
    }
    this.stored = memory.take(stored.length);
    memory.floats().set(stored, this.stored / 4);
  }

  /** The layer over a plane of so many rows and columns. */
  run(x, rows, columns) {
    const {channels, vectors, stored} = this, wide = VECTOR * vectors, stride = (columns + 2) * wide;
    const from = memory.room("exact rows", 3 * stride), to = memory.room("exact row", columns * wide);
    const out = new Float32Array(x.length), heap = memory.floats();
    heap.fill(0, from / 4, from / 4 + 3 * stride);
    // Three rows with a border of zeros, one after another; those above and below the plane are all zero.
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < 3; k++) {
        const row = i + k - 1, at = from / 4 + k * stride + wide, inside = row >= 0 && row < rows;
        if (!inside) heap.fill(0, at, at + columns * wide);
        else if (wide === channels) heap.set(x.subarray(row * columns * wide, (row + 1) * columns * wide), at);
        else {
          for (let j = 0; j < columns; j++) heap.set(x.subarray((row * columns + j) * channels, (row * columns + j + 1) * channels), at + j * wide);
        }
      }
      kernels.spatialExact(from, stored, to, columns, vectors, 4 * stride);
      if (wide === channels) out.set(heap.subarray(to / 4, to / 4 + columns * wide), i * columns * wide);
      else {
        for (let j = 0; j < columns; j++) {
          const place = to / 4 + j * wide;
          out.set(heap.subarray(place, place + channels), (i * columns + j) * channels);
        }
      }
    }
    return out;
  }
}

/** Turn each position of a plane into a square of 2×2: channel 4·c + 2·i + j becomes channel c at row i, column j. */
export function up(x, rows, columns, channels) {
  const out = new Float32Array(x.length), fewer = channels / 4;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * channels;
      for (let place = 0; place < 4; place++) {
        const to = ((2 * row + (place >> 1)) * 2 * columns + 2 * column + (place & 1)) * fewer;
        for (let c = 0; c < fewer; c++) out[to + c] = x[from + 4 * c + place];
      }
    }
  }
  return out;
}
