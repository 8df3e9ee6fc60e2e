// The synthesis (docs/format.md, "Synthesis" and "gru: synthesis"): latents to samples, in single precision.
//
// Planes lie in the kernel's memory, position after position, at each channel after channel, with a border of zeros.

import {BLOCK, POSITIONS, kernels, memory} from "./kernel.js";

/** Positions that a layer takes at once: few enough for what lies between two layers to stay in a cache. */
const CHUNK = 64;
const padded = channels => BLOCK * Math.ceil(channels / BLOCK);
const copy = (heap, from, to, count) => heap.copyWithin(to / 4, from / 4, from / 4 + count);

/** Rows and columns of positions; `channels` is a multiple of eight, those beyond the stored ones are zero. */
class Plane {
  /** `room` names the memory that it takes, which the last plane there no longer has. */
  constructor(room, rows, columns, channels) {
    Object.assign(this, {rows, columns, channels});
    const line = (columns + 2) * channels, size = (rows + 2) * line;
    this.stride = 4 * line;
    this.place = memory.room(room, size + POSITIONS * channels); // a layer reads beyond the last position, for nothing
    const heap = memory.floats().subarray(this.place / 4, this.place / 4 + size);
    heap.fill(0, 0, line);
    heap.fill(0, size - line);
    for (let row = 1; row <= rows; row++) {
      heap.fill(0, row * line, row * line + channels);
      heap.fill(0, (row + 1) * line - channels, (row + 1) * line);
    }
  }

  at(row, column = 0) {
    return this.place + (row + 1) * this.stride + 4 * (column + 1) * this.channels;
  }

  clear() {
    memory.floats().fill(0, this.place / 4, this.place / 4 + ((this.rows + 2) * this.stride) / 4);
    return this;
  }

  /** The place, the row and the column of the parts of every row that are taken at once, and their positions. */
  *parts() {
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column += CHUNK) {
        yield {row, column, place: this.at(row, column), count: Math.min(CHUNK, this.columns - column)};
      }
    }
  }
}

/** Room for what a layer makes of a part of a row. */
const between = (name, channels) => memory.room(name, CHUNK * channels);

/** A 1×1 layer. */
class Layer {
  /**
   * Of the arrays `transforms.<name>`. `order` lists the rows of the weights that give the outputs, −1 for a zero; `factor`
   * multiplies, and `offset` is added.
   */
  constructor(weights, name, {order, factor = 1, offset = 0} = {}) {
    const weight = weights.array(`transforms.${name}.weight`), bias = weights.array(`transforms.${name}.bias`);
    const inputs = weight.length / bias.length, rows = order ?? [...bias.keys()];
    this.inputs = padded(inputs);
    this.outputs = padded(rows.length);
    this.blocks = this.outputs / BLOCK;
    const size = BLOCK * (this.inputs + 1), stored = new Float32Array(size * this.blocks);
    rows.forEach((row, n) => {
      if (row < 0) return;
      const at = size * Math.floor(n / BLOCK) + (n % BLOCK);
      for (let c = 0; c < inputs; c++) stored[at + BLOCK * c] = factor * weight[row * inputs + c];
      stored[at + BLOCK * this.inputs] = factor * bias[row] + offset;
    });
    this.stored = memory.take(stored.length);
    memory.floats().set(stored, this.stored / 4);
  }

  /** From positions side by side to others; what follows them is overwritten up to a multiple of four. */
  run(from, to, count, kernel = kernels.dense) {
    kernel(from, this.stored, to, Math.ceil(count / POSITIONS), this.inputs, this.blocks);
  }
}

/** The order of outputs for a shuffle by `size`: channels last, with zeros up to a multiple of `multiple`. */
function shuffled(channels, size, multiple = 1) {
  const wide = multiple * Math.ceil(channels / multiple), order = [];
  for (let place = 0; place < size * size; place++) {
    for (let c = 0; c < wide; c++) order.push(c < channels ? c * size * size + place : -1);
  }
  return order;
}

/** A 3×3 layer, each channel by itself. */
class Spatial {
  constructor(weights, name) {
    const weight = weights.array(`transforms.${name}.weight`), bias = weights.array(`transforms.${name}.bias`);
    this.channels = padded(bias.length);
    const stored = new Float32Array(10 * this.channels);
    for (let c = 0; c < bias.length; c++) {
      const at = 40 * (c >> 2) + (c & 3);
      for (let n = 0; n < 9; n++) stored[at + 4 * n] = weight[9 * c + n];
      stored[at + 36] = bias[c];
    }
    this.stored = memory.take(stored.length);
    memory.floats().set(stored, this.stored / 4);
  }

  /** From positions of a plane on, `count` side by side, to some memory. */
  run(plane, {row, column, count}, to) {
    kernels.spatial(plane.at(row - 1, column - 1), this.stored, to, count, this.channels / 4, plane.stride);
  }
}

/** A residual block. */
class Block {
  constructor(weights, name) {
    this.spatial = new Spatial(weights, `${name}.spatial`);
    this.expand = new Layer(weights, `${name}.expand`);
    this.project = new Layer(weights, `${name}.project`);
  }

  static all(weights, name) {
    const blocks = [];
    while (weights.has(`transforms.${name}.${blocks.length}.expand.bias`)) blocks.push(new Block(weights, `${name}.${blocks.length}`));
    return blocks;
  }

  run(x, out) {
    const seen = between("seen", x.channels), hidden = between("hidden", this.expand.outputs), sum = between("sum", x.channels);
    const heap = memory.floats();
    for (const part of x.parts()) {
      this.spatial.run(x, part, seen);
      this.expand.run(seen, hidden, part.count, kernels.denseSilu);
      copy(heap, part.place, sum, part.count * x.channels);
      this.project.run(hidden, sum, part.count, kernels.denseAdded);
      copy(heap, sum, out.at(part.row, part.column), part.count * x.channels);
    }
  }
}

/** Run blocks over a plane, to and fro between it and a second one; gives the last and the other. */
async function through(blocks, x, other, pause) {
  for (const block of blocks) {
    block.run(x, other);
    [x, other] = [other, x];
    await pause();
  }
  return [x, other];
}

/** A latent `(rows, columns, channels)` times its gains, as a plane. */
function scaled(latent, gains, room, rows, columns) {
  const channels = gains.length, plane = new Plane(room, rows, columns, padded(channels)), heap = memory.floats();
  for (let row = 0, from = 0; row < rows; row++) {
    for (let column = 0, to = plane.at(row) / 4; column < columns; column++, to += plane.channels) {
      for (let c = 0; c < channels; c++) heap[to + c] = latent[from++] * gains[c];
      heap.fill(0, to + channels, to + plane.channels);
    }
  }
  return plane;
}

/** A 1×1 layer from plane to plane, with a gain for each channel if there are some. */
function apply(layer, x, out, gains = null) {
  const result = between("sum", layer.outputs), heap = memory.floats(), count = out.channels;
  for (const part of x.parts()) {
    layer.run(part.place, result, part.count);
    const to = out.at(part.row, part.column) / 4, from = result / 4;
    if (!gains) copy(heap, result, 4 * to, part.count * count);
    else for (let n = 0; n < part.count * count; n++) heap[to + n] = heap[from + n] * (gains[n % count] ?? 0);
  }
}

/** A 1×1 layer whose outputs are squares of 2×2 positions of a plane. */
function enlarge(layer, x, out) {
  const result = between("hidden", layer.outputs), heap = memory.floats(), pair = 2 * out.channels;
  for (const part of x.parts()) {
    layer.run(part.place, result, part.count);
    for (let n = 0; n < part.count; n++) {
      for (const i of [0, 1]) copy(heap, result + 4 * pair * (2 * n + i), out.at(2 * part.row + i, 2 * (part.column + n)), pair);
    }
  }
}

const COLOURS = 3;
/** What `head` and `shortcut` add up to, in 8-bit levels: 8×8 and 16×16 pixels of each position. */
const headOf = (weights, name, size, offset = 0) =>
  new Layer(weights, name, {order: shuffled(COLOURS, size), factor: 255, offset: 255 * offset});

/**
 * The samples of pixels, whose rows are one after another: the sum of what layers make of planes at 1/8, `fine`, and of rows
 * of squares of 16×16 pixels, which `coarse` gives as a place in memory.
 */
function samples(fine, coarse, rows, columns) {
  const across = 16 * columns * COLOURS, out = new Uint8ClampedArray(16 * rows * across), [[, first]] = fine;
  const width = 8 * COLOURS, square = padded(8 * width), row16 = memory.room("row", 4 * padded(8 * width) * columns);
  const result = between("hidden", square);
  for (let row = 0; row < rows; row++) {
    coarse(row, row16);
    const heap = memory.floats();
    for (const half of [0, 1]) {
      for (let column = 0; column < first.columns; column += CHUNK) {
        const count = Math.min(CHUNK, first.columns - column);
        fine.forEach(([layer, plane], n) =>
          layer.run(plane.at(2 * row + half, column), result, count, n ? kernels.denseAdded : kernels.dense));
        for (let i = 0; i < 8; i++) {
          let to = (16 * row + 8 * half + i) * across + column * width;
          for (let n = 0; n < count; n++) {
            const place = column + n, from = result / 4 + n * square + i * width;
            const under = row16 / 4 + (place >> 1) * 4 * square + (8 * half + i) * 2 * width + (place & 1) * width;
            for (let k = 0; k < width; k++) out[to++] = heap[from + k] + heap[under + k]; // rounded and clipped
          }
        }
      }
    }
  }
  return out;
}

/** The synthesis of a `conv` weights file. */
export class ConvSynthesis {
  constructor(weights) {
    this.weights = weights;
    const name = layer => `synthesis.${layer}`, {fine} = weights.model;
    this.stem = new Layer(weights, name("stem"));
    this.coarse = Block.all(weights, name("coarse"));
    this.up = new Layer(weights, name("up"), {order: shuffled(fine, 2, BLOCK)});
    this.fine = Block.all(weights, name("fine"));
    this.head = headOf(weights, name("head"), 8);
    this.shortcut = headOf(weights, name("shortcut"), 16, 0.5);
  }

  /** The layers that a second latent takes. */
  get detail() {
    if (!this._detail) {
      const {weights} = this, name = layer => `detail_synthesis.${layer}`;
      const [stem, seen] = ["stem", "seen"].map(layer => new Layer(weights, name(layer)));
      const [head, shortcut] = ["head", "shortcut"].map(layer => headOf(weights, name(layer), 8));
      this._detail = {stem, seen, head, shortcut, blocks: Block.all(weights, name("blocks"))};
    }
    return this._detail;
  }

  /**
   * Samples `(16 · rows, 16 · columns, 3)` of a latent, in quantization steps, and of that of the detail layer, if there is
   * one. `pause` is awaited now and then.
   */
  async run(y, y2, rows, columns, levels, pause) {
    const gains = (name, level) => this.weights.gains(name, level);
    const u = scaled(y, gains("synthesis_gain", levels.level), "latent", rows, columns);
    const coarse = [0, 1].map(n => new Plane(`coarse ${n}`, rows, columns, this.stem.outputs));
    apply(this.stem, u, coarse[0], gains("synthesis_feature_gain", levels.level));
    const [f] = await through(this.coarse, ...coarse, pause);
    const fine = [0, 1].map(n => new Plane(`fine ${n}`, 2 * rows, 2 * columns, this.up.outputs / 4));
    enlarge(this.up, f, fine[0]);
    const [g] = await through(this.fine, ...fine, pause), layers = [[this.head, g]];
    if (y2) layers.push(...(await this._details(y2, g, levels.detail, pause)));
    const under = (row, to) => {
      for (let n = 0; n < columns; n += CHUNK) {
        const count = Math.min(CHUNK, columns - n);
        this.shortcut.run(u.at(row, n), between("sum", this.shortcut.outputs), count);
        copy(memory.floats(), between("sum", this.shortcut.outputs), to + 4 * n * this.shortcut.outputs, count * this.shortcut.outputs);
      }
    };
    return samples(layers, under, rows, columns);
  }

  async _details(y2, g, level, pause) {
    const {stem, seen, head, shortcut, blocks} = this.detail, gains = name => this.weights.gains(`detail_synthesis_${name}`, level);
    const u = scaled(y2, gains("gain"), "detail latent", g.rows, g.columns), width = gains("feature_gain");
    const planes = [0, 1].map(n => new Plane(`detail ${n}`, g.rows, g.columns, stem.outputs));
    apply(stem, u, planes[0], width);
    const sum = between("sum", seen.outputs), heap = memory.floats();
    for (const part of g.parts()) {
      const place = planes[0].at(part.row, part.column);
      copy(heap, place, sum, part.count * seen.outputs);
      seen.run(part.place, sum, part.count, kernels.denseAdded);
      copy(heap, sum, place, part.count * seen.outputs);
    }
    const [f] = await through(blocks, ...planes, pause);
    return [[head, f], [shortcut, u]];
  }
}

/** A gated recurrent unit. */
class Gate {
  constructor(weights, name, channels) {
    const thirds = [0, 1, 2].flatMap(third => Array.from({length: padded(channels)}, (_, c) => (c < channels ? third * channels + c : -1)));
    this.inputs = new Layer(weights, `${name}.inputs`, {order: thirds});
    this.spatial = new Spatial(weights, `${name}.spatial`);
    this.recurrent = new Layer(weights, `${name}.recurrent`, {order: thirds});
  }

  /** The state that follows `state`, in place of it. */
  run(x, state) {
    const {channels} = state, next = new Plane("next state", state.rows, state.columns, channels);
    const [made, kept] = [between("hidden", this.inputs.outputs), between("kept", this.recurrent.outputs)];
    const seen = between("seen", channels), heap = memory.floats();
    for (const part of state.parts()) {
      const to = next.at(part.row, part.column);
      this.inputs.run(x.at(part.row, part.column), made, part.count);
      this.spatial.run(state, part, seen);
      this.recurrent.run(seen, kept, part.count);
      copy(heap, part.place, to, part.count * channels);
      kernels.gate(made, kept, to, part.count, channels / 4);
    }
    for (const part of next.parts()) copy(heap, part.place, state.at(part.row, part.column), part.count * channels);
  }
}

/** The synthesis of a `gru` weights file. */
export class StageSynthesis {
  constructor(weights) {
    this.weights = weights;
    const name = layer => `synthesis.${layer}`, {fine, coarse} = weights.model;
    this.gates = [new Gate(weights, name("gru_coarse"), coarse), new Gate(weights, name("gru_fine"), fine)];
    this.block = new Block(weights, name("block_coarse.0"));
    this.up = new Layer(weights, name("up"), {order: shuffled(fine, 2, BLOCK)});
    this.blocks = Block.all(weights, name("render_blocks"));
    this.head = headOf(weights, name("head"), 8, 0.5);
    this.stages = [];
  }

  /** What a picture starts with; it is kept outside of the kernel's memory, which holds that of one picture at a time. */
  start(rows, columns) {
    const zeros = (scale, channels) => new Float32Array(scale * scale * rows * columns * channels);
    const {fine, coarse} = this.weights.model;
    return {rows, columns, coarse: zeros(1, padded(coarse)), fine: zeros(2, padded(fine)), linear: zeros(1, padded(768))};
  }

  /** Change the state by the latent of a stage, in quantization steps. */
  async advance(state, latent, stage, pause) {
    const {weights, up} = this, {rows, columns} = state, gains = name => weights.gains(`synthesis.${name}`, stage);
    this.stages[stage] ??= {
      stem: new Layer(weights, `synthesis.stems.${stage}`), shortcut: headOf(weights, `synthesis.shortcuts.${stage}`, 16),
    };
    const {stem, shortcut} = this.stages[stage];
    const u = scaled(latent, gains("latent_gain"), "latent", rows, columns);
    const [f, other] = [0, 1].map(n => new Plane(`coarse ${n}`, rows, columns, stem.outputs));
    apply(stem, u, f, gains("feature_gain"));
    const [a, b] = this._states(state), x = new Plane("fine 0", 2 * rows, 2 * columns, up.outputs / 4);
    for (let pass = 0; pass < (stage ? 1 : weights.model.priming); pass++) {
      this.gates[0].run(f, a);
      this.block.run(a, other);
      enlarge(up, other, x);
      await pause();
      this.gates[1].run(x, b);
      await pause();
    }
    this._keep(a, state.coarse);
    this._keep(b, state.fine);
    const sum = between("sum", shortcut.outputs), heap = memory.floats();
    for (const part of u.parts()) {
      const first = (part.row * columns + part.column) * shortcut.outputs, count = part.count * shortcut.outputs;
      shortcut.run(part.place, sum, part.count);
      for (let n = 0; n < count; n++) state.linear[first + n] += heap[sum / 4 + n];
    }
  }

  /** The planes of the states, as they were kept. */
  _states({rows, columns, coarse, fine}) {
    const a = new Plane("state coarse", rows, columns, coarse.length / (rows * columns));
    const b = new Plane("state fine", 2 * rows, 2 * columns, fine.length / (4 * rows * columns)), heap = memory.floats();
    for (const [plane, kept] of [[a, coarse], [b, fine]]) {
      const line = plane.columns * plane.channels;
      for (let row = 0; row < plane.rows; row++) heap.set(kept.subarray(row * line, (row + 1) * line), plane.at(row) / 4);
    }
    return [a, b];
  }

  _keep(plane, kept) {
    const heap = memory.floats(), line = plane.columns * plane.channels;
    for (let row = 0; row < plane.rows; row++) kept.set(heap.subarray(plane.at(row) / 4, plane.at(row) / 4 + line), row * line);
  }

  /** Samples `(16 · rows, 16 · columns, 3)` of a state. */
  async render(state, pause) {
    const {rows, columns, linear} = state, [, b] = this._states(state);
    const other = new Plane("next state", b.rows, b.columns, b.channels), line = linear.length / rows;
    const [x] = await through(this.blocks, b, other, pause);
    return samples([[this.head, x]], (row, to) => memory.floats().set(linear.subarray(row * line, (row + 1) * line), to / 4), rows, columns);
  }
}
