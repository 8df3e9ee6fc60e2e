// Integer layers (docs/format.md, "Integer layers"), two outputs to a double.
//
// No partial sum of a layer leaves ±2^24. So the sums of two outputs fit into one double side by side, 2^26
// apart, and a multiplication and an addition serve both: w₀·x + w₁·x·2^26 is below 2^51, and exact.
//
// Planes are `Float32Array`s of integers, NHWC: position after position, at each channel after channel.

const APART = 2 ** 26;

/**
 * Add to the packed sums of some positions: `sums[row·pairs + i] += Σ weight of pair i and channel c · x[row·stride +
 * shift + c − first]` for channels c from `first` to `last` and the positions `row` that are in `rows`.
 *
 * `weight` lists four pairs side by side, for channel after channel: the fastest of the orders tried.
 */
function accumulate(sums, weight, inputs, pairs, x, stride, shift, rows, first, last) {
  const count = rows.length;
  for (let n = 0; n < count; n += 2) {
    const one = rows[n], other = n + 1 < count ? rows[n + 1] : one; // the last of an odd number is computed twice
    const a = one * stride + shift - first, b = other * stride + shift - first;
    for (let i = 0; i < pairs; i += 4) {
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let c = first, w = i * inputs + 4 * first; c < last; c++, w += 4) {
        const u = x[a + c], v = x[b + c];
        const w0 = weight[w], w1 = weight[w + 1], w2 = weight[w + 2], w3 = weight[w + 3];
        a0 += u * w0;
        a1 += u * w1;
        a2 += u * w2;
        a3 += u * w3;
        b0 += v * w0;
        b1 += v * w1;
        b2 += v * w2;
        b3 += v * w3;
      }
      const at = one * pairs + i, to = other * pairs + i;
      sums[at] += a0;
      sums[at + 1] += a1;
      sums[at + 2] += a2;
      sums[at + 3] += a3;
      if (other !== one) {
        sums[to] += b0;
        sums[to + 1] += b1;
        sums[to + 2] += b2;
        sums[to + 3] += b3;
      }
    }
  }
}

/** A layer that looks at one position: some rows of a stored one, in the order given. */
export class Dense {
  /** `arrays` are those of `exact.<name>`; `outputs` the numbers of its rows, or all of them. */
  constructor({weight, bias, shift}, low, high, outputs = [...bias.keys()]) {
    this.outputs = outputs.length;
    this.inputs = weight.length / bias.length;
    this.low = Float64Array.from({length: this.outputs}, (_, n) => low.at?.(n) ?? low);
    this.high = Float64Array.from({length: this.outputs}, (_, n) => high.at?.(n) ?? high);
    this.pairs = 4 * Math.ceil(this.outputs / 8);
    this.weight = new Float64Array(this.pairs * this.inputs);
    this.bias = new Float64Array(this.pairs * 2);
    this.scale = new Float64Array(this.pairs * 2).fill(1);
    outputs.forEach((row, n) => {
      const pair = n >> 1, to = (pair - (pair & 3)) * this.inputs + (pair & 3), factor = n & 1 ? APART : 1;
      for (let c = 0; c < this.inputs; c++) this.weight[to + 4 * c] += weight[row * this.inputs + c] * factor;
      this.bias[n] = bias[row];
      this.scale[n] = 2 ** -shift[row];
    });
  }

  /** Packed sums, still without what `add` adds, for so many positions. */
  sums(positions) {
    return new Float64Array(positions * this.pairs);
  }

  /**
   * Add what channels `first` to `last` of the layer's input give at some positions; they are the channels from `from`
   * on of a plane with `channels` of them.
   */
  add(sums, x, channels, rows, {first = 0, last = this.inputs, from = 0} = {}) {
    accumulate(sums, this.weight, this.inputs, this.pairs, x, channels, from, rows, first, last);
  }

  /** Bias, rounding down and clipping: the outputs of some positions, into a plane. */
  settle(sums, out, rows) {
    const {pairs, outputs, bias, scale, low, high} = this;
    for (let k = 0; k < rows.length; k++) {
      for (let n = 0, i = rows[k] * pairs, at = rows[k] * outputs; n < outputs; n += 2, i++, at += 2) {
        const second = Math.round(sums[i] / APART), first = sums[i] - second * APART;
        let value = Math.floor((first + bias[n]) * scale[n]);
        out[at] = value < low[n] ? low[n] : value > high[n] ? high[n] : value;
        if (n + 1 === outputs) break;
        value = Math.floor((second + bias[n + 1]) * scale[n + 1]);
        out[at + 1] = value < low[n + 1] ? low[n + 1] : value > high[n + 1] ? high[n + 1] : value;
      }
    }
    return out;
  }

  /** The whole layer at all positions of a plane. */
  run(x, positions) {
    const rows = all(positions), sums = this.sums(positions);
    this.add(sums, x, this.inputs, rows);
    return this.settle(sums, new Float32Array(positions * this.outputs), rows);
  }
}

/** The numbers of all of so many positions. */
export function all(positions) {
  return Uint32Array.from({length: positions}, (_, n) => n);
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
