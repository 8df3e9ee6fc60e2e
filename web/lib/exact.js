// Integer layers (docs/format.md, "Integer layers").
//
// No partial sum of a layer leaves ±2^24, so sums in float32 are exact, in whatever order.
//
// Planes are `Float32Array`s of integers, NHWC: position after position, at each channel after channel.

import {dense, memory} from "./kernel.js";

/** Positions that the kernel takes at once: few enough for their inputs to stay in a cache. */
const CHUNK = 64;
/** Outputs that lie side by side in the kernel's weights, and inputs that it takes at once. */
const BLOCK = 8, UNROLLED = 4;

/** Where in the kernel's memory a layer's inputs and outputs go, and how many numbers there is room for. */
const scratch = {inputs: 0, outputs: 0, from: 0, to: 0};

function withRoomFor(inputs, outputs) {
  if (inputs <= scratch.inputs && outputs <= scratch.outputs) return;
  scratch.inputs = Math.max(inputs, scratch.inputs);
  scratch.outputs = Math.max(outputs, scratch.outputs);
  scratch.from = memory.take(CHUNK * scratch.inputs);
  scratch.to = memory.take(CHUNK * scratch.outputs);
}

/** A layer that looks at one position: some rows of a stored one, in the order given. */
export class Dense {
  /** `arrays` are those of `exact.<name>`; `outputs` the numbers of its rows, or all of them. */
  constructor({weight, bias, shift}, low, high, outputs = [...bias.keys()]) {
    this.outputs = outputs.length;
    this.inputs = weight.length / bias.length;
    this.row = UNROLLED * Math.ceil(this.inputs / UNROLLED); // with zeros at its end
    this.blocks = Math.ceil(this.outputs / BLOCK);
    // Block after block of outputs: their weights, input after input, then bias, scale, lowest and highest values.
    const size = BLOCK * (this.row + 4), stored = new Float32Array(size * this.blocks);
    outputs.forEach((row, n) => {
      const at = size * Math.floor(n / BLOCK) + (n % BLOCK), settled = at + BLOCK * this.row;
      for (let c = 0; c < this.inputs; c++) stored[at + BLOCK * c] = weight[row * this.inputs + c];
      stored[settled] = bias[row];
      stored[settled + BLOCK] = 2 ** -shift[row];
      stored[settled + 2 * BLOCK] = low.at?.(n) ?? low;
      stored[settled + 3 * BLOCK] = high.at?.(n) ?? high;
    });
    this.stored = memory.take(stored.length);
    memory.floats().set(stored, this.stored / 4);
    withRoomFor(this.row, BLOCK * this.blocks);
  }

  /**
   * The layer over planes whose channels follow one another, at the positions listed in `rows` or at all of them: its
   * outputs, position after position.
   */
  run(planes, positions, rows = null) {
    const count = rows ? rows.length : positions, {outputs, row, blocks} = this, wide = BLOCK * blocks;
    const out = new Float32Array(count * outputs), heap = memory.floats();
    for (let first = 0; first < count; first += CHUNK) {
      const last = Math.min(first + CHUNK, count);
      let offset = scratch.from / 4;
      for (const plane of planes) {
        const channels = plane.length / positions;
        for (let n = first, to = offset; n < last; n++, to += row) {
          const from = (rows ? rows[n] : n) * channels;
          for (let c = 0; c < channels; c++) heap[to + c] = plane[from + c];
        }
        offset += channels;
      }
      for (let n = first, to = offset; this.inputs < row && n < last; n++, to += row) {
        heap.fill(0, to, to + row - this.inputs);
      }
      dense(scratch.from, this.stored, scratch.to, Math.ceil((last - first) / 4), row, blocks);
      for (let n = first, from = scratch.to / 4, to = first * outputs; n < last; n++, from += wide, to += outputs) {
        for (let o = 0; o < outputs; o++) out[to + o] = heap[from + o];
      }
    }
    return out;
  }
}

/** A 3×3 layer, each channel by itself, zero beyond the border. */
export class Depthwise {
  constructor({weight, bias, shift}, low, high) {
    const channels = bias.length;
    this.taps = Array.from({length: 9}, (_, t) => Float64Array.from({length: channels}, (_, c) => weight[9 * c + t]));
    this.bias = Float64Array.from(bias);
    this.scale = Float64Array.from(shift, s => 2 ** -s);
    this.low = low;
    this.high = high;
  }

  /** The layer over a plane of so many rows and columns. */
  run(x, rows, columns) {
    const channels = this.bias.length, {bias, scale, low, high} = this, [t0, t1, t2, t3, t4, t5, t6, t7, t8] = this.taps;
    const out = new Float32Array(x.length);
    // Three rows with a border of zeros, one after another; those above and below the plane are all zero.
    const wide = 2 * channels, stride = (columns + 2) * channels, padded = new Float32Array(3 * stride);
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < 3; k++) {
        const row = i + k - 1, inside = row >= 0 && row < rows;
        const line = padded.subarray(k * stride + channels, (k + 1) * stride - channels);
        if (inside) line.set(x.subarray(row * columns * channels, (row + 1) * columns * channels));
        else line.fill(0);
      }
      for (let j = 0; j < columns; j++) {
        let a = j * channels, b = a + stride, d = b + stride, to = (i * columns + j) * channels;
        for (let c = 0; c < channels; c++, a++, b++, d++, to++) {
          const sum = bias[c] + padded[a] * t0[c] + padded[a + channels] * t1[c] + padded[a + wide] * t2[c]
            + padded[b] * t3[c] + padded[b + channels] * t4[c] + padded[b + wide] * t5[c]
            + padded[d] * t6[c] + padded[d + channels] * t7[c] + padded[d + wide] * t8[c];
          const value = Math.floor(sum * scale[c]);
          out[to] = value < low ? low : value > high ? high : value;
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
