// The exact part: segments to latents (docs/format.md, "Order of symbols" to "Groups 1 to 4", "gru: stages").

import {SymbolReader, Tables} from "./coder.js";
import {Dense, Depthwise, up} from "./exact.js";

const ACTIVATION = 1024, LATENT = 8192, MEAN = 2 ** 17, INDEX = 63;

const entered = value => (value < -LATENT ? -LATENT : value > LATENT ? LATENT : value);

/** What networks see of a latent. */
function bound(latent) {
  const out = new Float32Array(latent.length);
  for (let n = 0; n < out.length; n++) out[n] = entered(latent[n]);
  return out;
}
const bounded = feature => (feature < -ACTIVATION ? -ACTIVATION : feature > ACTIVATION ? ACTIVATION : feature);
const evenUp = n => n + (n % 2);

/** One of the four context steps. */
class Step {
  constructor(weights, name, k, features) {
    const head = weights.layer(`${name}.head`), latent = head.bias.length / 2, size = latent / 4;
    this.mix = new Dense(weights.layer(`${name}.mix`), 0, ACTIVATION);
    this.spatial = new Depthwise(weights.layer(`${name}.spatial`), -LATENT, LATENT);
    this.expand = new Dense(weights.layer(`${name}.expand`), 0, ACTIVATION);
    this.k = k;
    this.features = features;
    this.latent = latent;
    this.size = size;
    const low = [...Array(size).fill(-MEAN), ...Array(size).fill(0)];
    const high = [...Array(size).fill(MEAN), ...Array(size).fill(INDEX)];
    // Of the head only the outputs of the group that is decoded at a place: its means, then its scale indices.
    this.heads = [0, 1, 2, 3].map(place => {
      const channels = [...Array(size).keys()].map(c => (place ^ k) * size + c);
      return new Dense(head, low, high, [...channels, ...channels.map(c => latent + c)]);
    });
  }

  /**
   * Decode this step into `latent` (int32, of `rows` × `columns` positions, in sixteenths) and `seen`, which has φ and behind
   * it the same as networks see it. Only the first `height` × `width` positions are coded.
   */
  decode(read, latent, seen, rows, columns, height, width) {
    const positions = rows * columns, {latent: channels, size, k, features} = this;
    const places = [0, 1, 2, 3].map(place => {
      const at = new Uint32Array(positions / 4);
      let n = 0;
      for (let i = place >> 1; i < rows; i += 2) for (let j = place & 1; j < columns; j += 2) at[n++] = i * columns + j;
      return at;
    });
    const mixed = this.mix.run(seen, positions);
    const x = this.expand.run(this.spatial.run(mixed, rows, columns), positions);
    const mean = new Int32Array(positions * size), index = new Uint16Array(mean.length), symbols = new Int32Array(mean.length);
    let n = 0;
    for (let place = 0; place < 4; place++) {
      const out = this.heads[place].run(x, positions, places[place]);
      let from = 0;
      for (const position of places[place]) {
        if (Math.floor(position / columns) < height && position % columns < width) {
          for (let c = 0; c < size; c++) {
            mean[n + c] = out[from + c];
            index[n + c] = out[from + size + c];
          }
        }
        from += 2 * size;
        n += size;
      }
    }
    read(index, symbols);
    n = 0;
    for (let place = 0; place < 4; place++) {
      for (const position of places[place]) {
        const at = position * channels + (place ^ k) * size, known = at + (position + 1) * features;
        for (let c = 0; c < size; c++, n++) {
          latent[at + c] = 16 * symbols[n] + mean[n];
          seen[known + c] = entered(latent[at + c]);
        }
      }
    }
  }
}

function decodeSteps(steps, read, phi, rows, columns, height, width) {
  const [{latent: channels, features}] = steps, wide = features + channels;
  const latent = new Int32Array(rows * columns * channels), seen = new Float32Array(rows * columns * wide);
  for (let n = 0; n < rows * columns; n++) seen.set(phi.subarray(n * features, (n + 1) * features), n * wide);
  for (const step of steps) step.decode(read, latent, seen, rows, columns, height, width);
  return [latent, seen];
}

function cropped(latent, columns, height, width, channels) {
  const out = new Int32Array(height * width * channels);
  for (let row = 0; row < height; row++) {
    const from = row * columns * channels;
    out.set(latent.subarray(from, from + width * channels), row * width * channels);
  }
  return out;
}

/** The prior of a `conv` weights file. */
export class Prior {
  constructor(weights) {
    this.tables = new Tables(weights.array("tables.counts"), weights.array("tables.radius"));
    this.zMean = weights.array("z.mean");
    this.zIndex = weights.array("z.index");
    this.hyper = weights.shape("z.mean")[1];
    const dense = (name, low, high) => new Dense(weights.layer(name), low, high);
    const depthwise = (name, limit) => new Depthwise(weights.layer(name), -limit, limit);
    this.out = dense("hyper_out", 0, ACTIVATION);
    this.up1 = dense("hyper_up1", 0, ACTIVATION);
    this.blur1 = depthwise("hyper_blur1", LATENT);
    this.mid = dense("hyper_mid", 0, ACTIVATION);
    this.up2 = dense("hyper_up2", 0, ACTIVATION);
    this.blur2 = depthwise("hyper_blur2", ACTIVATION);
    this.features = this.up2.outputs / 4;
    this.steps = [0, 1, 2, 3].map(k => new Step(weights, `steps.${k}`, k, this.features));
    this.latent = this.steps[0].latent;
  }

  /** The latent, `height` × `width` positions, of a segment; `quality` in hundredths. */
  decode(segment, quality, height, width) {
    const reader = new SymbolReader(this.tables, segment), read = (index, symbols) => reader.read(index, symbols);
    const rows = Math.ceil(height / 4), columns = Math.ceil(width / 4), positions = rows * columns;
    const first = Math.floor((quality + 50) / 100) * this.hyper, channels = this.hyper;
    const index = new Uint16Array(positions * channels), symbols = new Int32Array(index.length);
    for (let n = 0; n < index.length; n++) index[n] = this.zIndex[first + (n % channels)];
    read(index, symbols);
    const z = Float32Array.from(symbols, (symbol, n) => entered(16 * symbol + this.zMean[first + (n % channels)]));
    let x = this.up1.run(this.out.run(z, positions), positions);
    x = up(x, rows, columns, this.up1.outputs);
    x = this.mid.run(this.blur1.run(x, 2 * rows, 2 * columns), 4 * positions);
    x = up(this.up2.run(x, 4 * positions), 2 * rows, 2 * columns, this.up2.outputs);
    const phi = this.blur2.run(x, 4 * rows, 4 * columns);
    const [latent] = decodeSteps(this.steps, read, phi, 4 * rows, 4 * columns, height, width);
    return cropped(latent, 4 * columns, height, width, this.latent);
  }
}

/** The prior of the detail layer of a `conv` weights file, beside that of its base. */
export class DetailPrior {
  constructor(weights, base) {
    this.tables = base.tables;
    this.base = base.latent;
    this.rows = weights.array("detail.rows");
    this.table = weights.array("detail.table");
    const dense = name => new Dense(weights.layer(name), 0, ACTIVATION);
    this.into = dense("detail_in");
    this.blur1 = new Depthwise(weights.layer("detail_blur1"), -LATENT, LATENT);
    this.mid = dense("detail_mid");
    this.up = dense("detail_up");
    this.blur2 = new Depthwise(weights.layer("detail_blur2"), -ACTIVATION, ACTIVATION);
    this.features = this.up.outputs / 4;
    this.steps = [0, 1, 2, 3].map(k => new Step(weights, `detail_steps.${k}`, k, this.features));
    this.latent = this.steps[0].latent;
  }

  /** The latent, twice `height` × `width` positions, of a segment over a base, `row` that of the quality. */
  decode(segment, row, base, height, width) {
    const reader = new SymbolReader(this.tables, segment), positions = height * width, {features} = this;
    const read = (index, symbols) => {
      for (let n = 0; n < index.length; n++) index[n] = this.table[index[n]];
      reader.read(index, symbols);
    };
    let x = this.into.run(bound(base), positions);
    x = this.mid.run(this.blur1.run(x, height, width), positions);
    x = up(this.up.run(x, positions), height, width, this.up.outputs);
    const phi = this.blur2.run(x, 2 * height, 2 * width);
    for (let n = 0; n < phi.length; ) {
      for (let c = row * features; c < (row + 1) * features; c++, n++) phi[n] = bounded(phi[n] + this.rows[c]);
    }
    const [latent] = decodeSteps(this.steps, read, phi, 2 * height, 2 * width, 2 * height, 2 * width);
    return latent;
  }
}

/** The prior of a `gru` weights file. */
export class StagePrior {
  constructor(weights, stages) {
    this.tables = new Tables(weights.array("tables.counts"), weights.array("tables.radius"));
    this.features = weights.layer("updates.0.project").bias.length;
    const numbers = [...Array(stages).keys()];
    this.steps = numbers.map(s => [0, 1, 2, 3].map(k => new Step(weights, `stages.${s}.${k}`, k, this.features)));
    this.latent = this.steps[0][0].latent;
    this.updates = numbers.slice(1).map((_, s) => ({
      mix: new Dense(weights.layer(`updates.${s}.mix`), 0, ACTIVATION),
      spatial: new Depthwise(weights.layer(`updates.${s}.spatial`), 0, ACTIVATION),
      project: new Dense(weights.layer(`updates.${s}.project`), -2 * ACTIVATION, 2 * ACTIVATION),
    }));
  }

  /** What a tile of `height` × `width` positions starts with. */
  start(height, width) {
    const rows = evenUp(height), columns = evenUp(width);
    return {height, width, rows, columns, phi: new Float32Array(rows * columns * this.features)};
  }

  /** The latent of a tile's next stage; its state goes on to the one after it. */
  decode(segment, stage, tile) {
    const {rows, columns, height, width, phi} = tile, positions = rows * columns;
    const reader = segment.length ? new SymbolReader(this.tables, segment) : null;
    const read = (index, symbols) => reader?.read(index, symbols); // without a segment all symbols stay zero
    const [latent, seen] = decodeSteps(this.steps[stage], read, phi, rows, columns, height, width);
    if (stage < this.updates.length) {
      const {mix, spatial, project} = this.updates[stage];
      const mixed = mix.run(seen, positions);
      const change = project.run(spatial.run(mixed, rows, columns), positions);
      for (let n = 0; n < phi.length; n++) phi[n] = bounded(phi[n] + change[n]);
    }
    return cropped(latent, columns, height, width, this.latent);
  }
}
