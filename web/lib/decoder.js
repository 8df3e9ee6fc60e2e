// From the bytes of a file to pixels: the container, then the exact prior, then the graphs of the synthesis.

import {unpackAlpha} from "./alpha.js";
import {CONV, Container} from "./container.js";
import {colorSpaceOf, inflated, orientationOf, turned} from "./metadata.js";
import {DamagedFileError} from "./errors.js";
import {DetailPrior, Prior, StagePrior} from "./prior.js";
import {ConvSynthesis, StageSynthesis} from "./synthesis.js";

const STRIDE = 16;
/** Latent positions that the synthesis of `conv` reads at once, about: 2^14 are 4 megapixels. */
const WINDOW = 2 ** 14, WINDOW_COLUMNS = 256;

/** Decodes files with the weights of a `Library`. */
export class Decoder {
  constructor(library) {
    this._library = library;
    this._models = new Map();
    this._work = Promise.resolve();
    this._warming = new AbortController();
  }

  /**
   * Get ready for new files: load their weights, and decode a picture of nothing, so that the browser has compiled what
   * decodes when a picture comes. The first file that comes ends it.
   */
  async prepare() {
    const model = await this._model({weights: await this._library.newest()});
    const {signal} = this._warming, options = {onProgress: () => {}, signal};
    const header = {codec: CONV, width: 256, height: 256, tile: 1024, quality: 7000};
    const job = new ConvJob({header, tiles: [], complete: true}, model, this._exclusively, options);
    job.container.tiles = Array(job.stages).fill(new Uint8Array(1)); // a tile in all layers, of no words
    try {
      await job.breathe(0);
      await job.advance();
      await job.finish();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /**
   * Decode a file from its parts in order.
   *
   * `onProgress` is given shares of the work; `onPicture` what a file in stages shows so far, when the next stage has
   * not come, or after `everyStage`. `stage` is the last one to decode. Nothing is allocated for pictures of more than
   * `maxPixels`. Gives a picture: `{data, width, height, channels, icc, colorSpace, stage, stages, bytes}`, with
   * interleaved samples.
   */
  async decode(parts, {maxPixels, stage, everyStage, onProgress = () => {}, onPicture, signal} = {}) {
    const container = new Container({maxPixels});
    let job = null;
    this._warming.abort();
    for await (const bytes of parts) {
      signal?.throwIfAborted();
      container.push(bytes);
      if (!container.header) continue;
      job ??= await this._start(container, {stage, everyStage, onProgress, onPicture, signal});
      await job.advance();
      if (job.enough) break;
    }
    if (!job?.enough) container.finish();
    return job.finish();
  }

  async _start(container, options) {
    const model = await this._model(container.header);
    return new (container.header.codec === CONV ? ConvJob : StageJob)(container, model, this._exclusively, options);
  }

  /** Run a task when those before it have ended. */
  _exclusively = task => {
    const run = this._work.then(task);
    this._work = run.catch(() => {});
    return run;
  };

  _model({weights: id, stages}) {
    if (!this._models.has(id)) {
      const model = this._library.find(id).then(weights => new Model(weights));
      model.catch(() => this._models.delete(id)); // so that it is tried again
      this._models.set(id, model);
    }
    return this._models.get(id);
  }
}

/** The prior and the synthesis of one weights file. */
class Model {
  constructor(weights) {
    this.weights = weights;
    this.prior = weights.model.stages ? new StagePrior(weights, weights.model.stages) : new Prior(weights);
  }

  /** The prior of the detail layer. */
  get detail() {
    return (this._detail ??= new DetailPrior(this.weights, this.prior));
  }

  get synthesis() {
    return (this._synthesis ??= this.weights.model.stages ? new StageSynthesis(this.weights) : new ConvSynthesis(this.weights));
  }
}

/** What the jobs of both codecs share: tiles, progress, and the picture around the colours. */
class Job {
  constructor(container, model, exclusively, options) {
    this.container = container;
    this.header = container.header;
    this.model = model;
    this.options = options;
    this.exclusively = exclusively;
    this.rows = Math.ceil(this.header.height / STRIDE);
    this.columns = Math.ceil(this.header.width / STRIDE);
    this.done = 0;
    this.enough = false;
    const size = this.header.tile / STRIDE;
    this.tiles = [];
    for (let top = 0; top < this.rows; top += size) {
      for (let left = 0; left < this.columns; left += size) {
        const height = Math.min(size, this.rows - top), width = Math.min(size, this.columns - left);
        this.tiles.push({top, left, height, width});
      }
    }
  }

  /** Report progress, and let other work and an abort have their turn. */
  async breathe(share) {
    this.options.onProgress(share);
    await new Promise(resolve => setTimeout(resolve));
    this.options.signal?.throwIfAborted();
  }

  /** Put the latent of a tile into a plane, in quantization steps; `scale` 2 is that of a detail layer. */
  place(plane, latent, {top, left, height, width}, channels = this.model.prior.latent, scale = 1) {
    for (let row = 0, from = 0; row < scale * height; row++) {
      const to = ((scale * top + row) * scale * this.columns + scale * left) * channels;
      for (let n = 0; n < scale * width * channels; n++) plane[to + n] = latent[from++] / 16;
    }
  }

  /** The picture of samples `rgb`, of which every row has those of `across` pixels. */
  async picture(rgb, across, facts) {
    const {width, height, grey} = this.header, {container} = this;
    this._metadata ??= Promise.all([container.icc, container.exif, container.xmp].map(inflated));
    const [icc, exif] = await this._metadata;
    this._alpha ??= container.alpha && unpackAlpha(container.alpha, width, height);
    const colours = grey ? 1 : 3, alpha = this._alpha, channels = colours + (alpha ? 1 : 0);
    const data = new Uint8Array(width * height * channels);
    for (let row = 0, to = 0, n = 0; row < height; row++) {
      for (let column = 0, from = row * across * 3; column < width; column++, n++, from += 3) {
        if (grey) data[to++] = Math.round((rgb[from] + rgb[from + 1] + rgb[from + 2]) / 3);
        else {
          data[to++] = rgb[from];
          data[to++] = rgb[from + 1];
          data[to++] = rgb[from + 2];
        }
        if (alpha) data[to++] = alpha[n];
      }
    }
    const upright = turned(data, width, height, channels, orientationOf(exif));
    return {...upright, channels, icc, colorSpace: colorSpaceOf(icc), bytes: container.bytes, ...facts};
  }
}

class ConvJob extends Job {
  constructor(...all) {
    super(...all);
    const {model} = this;
    this.levels = model.weights.levels(this.header.quality);
    this.stages = this.levels.detail === undefined ? 1 : 2;
    this.last = Math.min(this.options.stage ?? this.stages, this.stages);
    this.latent = new Float32Array(this.rows * this.columns * this.model.prior.latent);
    this.bases = []; // latents of tiles, for their details
  }

  async advance() {
    const count = this.tiles.length, {tiles: segments} = this.container, {prior} = this.model;
    if (segments.length > count * this.stages) throw new DamagedFileError("damaged file: there is a layer too many");
    while (this.done < Math.min(segments.length, count * this.last)) {
      const tile = this.tiles[this.done % count], segment = segments[this.done];
      if (this.done < count) {
        const decoded = prior.decode(segment, this.levels.quality, tile.height, tile.width);
        this.place(this.latent, decoded, tile);
        if (this.last > 1) this.bases.push(decoded);
      } else this.decodeDetail(segment, this.done - count);
      this.done++;
      await this.breathe((0.5 * this.done) / (count * this.last));
      const waits = this.options.everyStage || (segments.length === count && !this.container.complete);
      if (this.last > 1 && this.done === count && waits) this.options.onPicture?.(await this.render(1));
    }
    this.enough = this.done === count * this.last && this.last < this.stages;
  }

  decodeDetail(segment, number) {
    const {detail} = this.model, tile = this.tiles[number];
    this.details ??= new Float32Array(4 * this.rows * this.columns * detail.latent);
    const decoded = detail.decode(segment, this.levels.row, this.bases[number], tile.height, tile.width);
    this.bases[number] = null;
    this.place(this.details, decoded, tile, detail.latent, 2);
  }

  finish() {
    if (this.done < this.tiles.length * this.last) throw new DamagedFileError("damaged file: its second layer is missing");
    return this.render(this.last);
  }

  /** The picture of the first layer, or of both. */
  async render(layers) {
    const {model, rows, columns, header, levels} = this, {coarse_blocks, fine_blocks} = model.weights.model;
    const two = layers > 1, extra = two ? Math.ceil(model.weights.model.detail_synthesis_blocks / 2) : 0;
    const halo = coarse_blocks + Math.ceil(fine_blocks / 2) + extra;
    const across = STRIDE * columns, rgb = new Uint8Array(3 * across * header.height);
    const wide = Math.ceil(columns / Math.ceil(columns / WINDOW_COLUMNS));
    const high = Math.max(Math.floor(WINDOW / Math.min(wide + 2 * halo, columns)) - 2 * halo, 1);
    for (let top = 0; top < rows; top += high) {
      for (let left = 0; left < columns; left += wide) {
        const bottom = Math.min(top + high, rows), right = Math.min(left + wide, columns);
        const from = {top: Math.max(top - halo, 0), left: Math.max(left - halo, 0)};
        const height = Math.min(bottom + halo, rows) - from.top, width = Math.min(right + halo, columns) - from.left;
        const box = {...from, height, width};
        const y = this.part(this.latent, box, model.prior.latent, 1);
        const y2 = two ? this.part(this.details, box, model.detail.latent, 2) : null;
        const share = part => 0.5 + (0.5 * (top + ((bottom - top) * (left + (right - left) * part)) / columns)) / rows;
        const pixels = await this.exclusively(() => this.synthesise(y, y2, box, share));
        const last = Math.min(bottom * STRIDE, header.height), stride = 3 * STRIDE * width;
        for (let row = top * STRIDE; row < last; row++) {
          const start = (row - from.top * STRIDE) * stride + 3 * STRIDE * (left - from.left);
          rgb.set(pixels.subarray(start, start + 3 * STRIDE * (right - left)), 3 * (row * across + left * STRIDE));
        }
        await this.breathe(share(1));
      }
    }
    return this.picture(rgb, across, {stage: layers, stages: this.stages});
  }

  /** The samples of a window; `share` says what it is of the work when a part of it is done. */
  synthesise(y, y2, {height, width}, share) {
    const {coarse_blocks, fine_blocks, detail_synthesis_blocks} = this.model.weights.model;
    let done = 0;
    const blocks = coarse_blocks + fine_blocks + (y2 ? detail_synthesis_blocks : 0);
    return this.model.synthesis.run(y, y2, height, width, this.levels, () => this.breathe(share(++done / (blocks + 1))));
  }

  /** A box of a plane; `scale` 2 is that of a detail layer. */
  part(plane, {top, left, height, width}, channels, scale) {
    const out = new Float32Array(scale * scale * height * width * channels), line = scale * width * channels;
    for (let row = 0; row < scale * height; row++) {
      const start = ((scale * top + row) * scale * this.columns + scale * left) * channels;
      out.set(plane.subarray(start, start + line), row * line);
    }
    return out;
  }
}

class StageJob extends Job {
  constructor(...all) {
    super(...all);
    this.stage = 0;
    this.last = Math.min(this.options.stage ?? this.header.stages, this.header.stages);
    this.states = this.tiles.map(({height, width}) => this.model.prior.start(height, width));
    this.state = this.model.synthesis.start(this.rows, this.columns);
  }

  async advance() {
    const count = this.tiles.length, {tiles: segments} = this.container, {prior, synthesis} = this.model;
    while (this.stage < this.last && segments.length >= (this.stage + 1) * count) {
      const latent = new Float32Array(this.rows * this.columns * prior.latent);
      for (let n = 0; n < count; n++) {
        const segment = segments[this.stage * count + n];
        this.place(latent, prior.decode(segment, this.stage, this.states[n]), this.tiles[n]);
        await this.breathe((this.stage + (0.5 * (n + 1)) / count) / this.last);
      }
      const pause = () => this.breathe((this.stage + 0.5) / this.last);
      await this.exclusively(() => synthesis.advance(this.state, latent, this.stage, pause));
      this.stage++;
      await this.breathe(this.stage / this.last);
      if (this.options.everyStage && this.stage < this.last) await this.show();
    }
    this.enough = this.stage === this.last && this.last < this.header.stages;
    const waiting = this.stage && this.stage < this.last && this.stage !== this.shown;
    if (waiting && !this.container.complete) await this.show();
  }

  async show() {
    this.shown = this.stage;
    this.options.onPicture?.(await this.render());
  }

  async render() {
    const pause = () => this.breathe(this.stage / this.last);
    const pixels = await this.exclusively(() => this.model.synthesis.render(this.state, pause));
    return this.picture(pixels, STRIDE * this.columns, {stage: this.stage, stages: this.header.stages});
  }

  finish() {
    return this.render();
  }
}
