// Weights: a safetensors file, found by the id in a file's header and checked against the index beside it.

import {DamagedFileError, NeuralCodecError} from "./errors.js";

const KINDS = {I8: Int8Array, U8: Uint8Array, I16: Int16Array, U16: Uint16Array, I32: Int32Array, F32: Float32Array};

/** The half-precision number of each 16 bits; made when there are some. */
let halves = null;

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

function inSinglePrecision(data) {
  halves ??= Float32Array.from({length: 2 ** 16}, (_, bits) => half(bits));
  const out = new Float32Array(data.length);
  for (let n = 0; n < out.length; n++) out[n] = halves[data[n]];
  return out;
}

/** What the arrays of a safetensors file are, and where the first byte of the first one is; `copy` gives bytes of the file. */
function described(copy) {
  const first = 8 + Number(new DataView(copy(0, 8).buffer).getBigUint64(0, true));
  return [JSON.parse(new TextDecoder().decode(copy(8, first))), first];
}

/**
 * Inflate bytes, whose hash was checked, to `size` others. They are handed over in one piece, which is twice as fast as a stream
 * of a blob; a browser may then inflate all of it at once, so this is not for what files from outside have (metadata.js).
 */
async function inflated(bytes, size) {
  const {writable, readable} = new DecompressionStream("deflate"), reader = readable.getReader(), out = new Uint8Array(size);
  const writer = writable.getWriter();
  Promise.all([writer.write(bytes), writer.close()]).catch(() => {}); // the reader says so as well
  for (let at = 0, part; !(part = await reader.read()).done; at += part.value.length) out.set(part.value, at);
  return out;
}

/** From the safetensors file in a packed one (docs/format.md, "Weights"), whose even bytes come before the odd ones. */
const woven = halves => (start, end) => {
  const out = new Uint8Array(end - start), odd = (halves.length + 1) >> 1;
  for (let n = start; n < end; n++) out[n - start] = halves[(n >> 1) + (n & 1 ? odd : 0)];
  return out;
};

/** The arrays of a weights file. */
export class Weights {
  /** From the bytes of the file, as a promise. */
  static async read(bytes) {
    const plain = (start, end) => bytes.slice(start, end), [header, first] = described(plain);
    const {model, unpacked: size} = JSON.parse(header.__metadata__.neuralcodec);
    if (size === undefined) return new Weights(plain, model);
    const [start, end] = header.packed.data_offsets;
    return new Weights(woven(await inflated(bytes.subarray(first + start, first + end), size)), model);
  }

  /** `copy` gives the bytes of a safetensors file from a place to another. */
  constructor(copy, model) {
    this._copy = copy;
    [this._described, this._first] = described(copy);
    /** Sizes of the model. */
    this.model = model;
  }

  has(name) {
    return name in this._described;
  }

  shape(name) {
    return this._described[name].shape;
  }

  /** A copy of an array; half precision becomes float32. */
  array(name) {
    const {dtype, data_offsets: [start, end]} = this._described[name];
    const data = this._copy(this._first + start, this._first + end).buffer;
    return dtype === "F16" ? inSinglePrecision(new Uint16Array(data)) : new KINDS[dtype](data);
  }

  /** The arrays of an integer layer. */
  layer(name) {
    const [weight, bias, shift] = ["weight", "bias", "shift"].map(part => this.array(`exact.${name}.${part}`));
    return {weight, bias, shift};
  }

  /**
   * What a quality, in hundredths, stands for in a `conv` model (docs/format.md, "detail layer"): the level of the base
   * and the quality whose tables code it; with a detail layer also its level, `detail`, and its row of tables.
   */
  levels(quality) {
    const {levels, detail, base_quality: base} = this.model;
    if (!detail) return {level: (quality * (levels - 1)) / 10000, quality};
    const alone = this.array("quality.base"), both = this.array("quality.detail"), first = alone.length - 1;
    const at = (table, place) => {
      const row = Math.min(Math.floor(place), table.length - 2), share = place - row;
      return table[row] * (1 - share) + table[row + 1] * share;
    };
    if (quality < 100 * first) return {level: at(alone, quality / 100), quality};
    const row = Math.floor((quality + 50) / 100) - first;
    return {level: alone[base], quality: 100 * base, detail: at(both, quality / 100 - first), row};
  }

  /** exp of the rows of a table of gains, interpolated at a level. */
  gains(name, level) {
    const table = this.array(`transforms.${name}.log_gain`), [levels, channels] = this.shape(`transforms.${name}.log_gain`);
    const row = Math.min(Math.floor(level), levels - 2), share = level - row;
    return Float32Array.from({length: channels}, (_, c) =>
      Math.exp(table[row * channels + c] * (1 - share) + table[(row + 1) * channels + c] * share));
  }
}

/** A folder of weights, local or on a server: the package's `weights/`, with its `index.json`. */
export class Library {
  /** `read` takes a name and gives the file's bytes, as a promise. */
  constructor(read) {
    this._read = read;
    this._begin(); // not to wait for it when a header has come
  }

  _begin() {
    this._index = this._readIndex();
    this._index.catch(() => (this._index = null)); // so that it is tried again
  }

  /** The id of the weights that new files are of: those whose name has no date. As a promise. */
  async newest() {
    const entries = Object.entries(await this._entries()), found = entries.find(([id, {file}]) => file === `conv-${id}.safetensors`);
    if (!found) throw new NeuralCodecError("these weights are of old files alone");
    return found[0];
  }

  _entries() {
    if (!this._index) this._begin();
    return this._index;
  }

  /** The weights with an id, as a promise. */
  async find(id) {
    const entry = (await this._entries())[id];
    if (!entry) {
      throw new DamagedFileError(
        `the file needs weights ${id}, which are not here: the header is damaged, or another version of neuralcodec wrote it`);
    }
    return Weights.read(await this._checked(entry));
  }

  async _readIndex() {
    return JSON.parse(new TextDecoder().decode(await this._read("index.json")));
  }

  async _checked({file, sha256}) {
    if (!globalThis.crypto?.subtle) {
      throw new NeuralCodecError("weights cannot be checked here: open the page over https or from localhost");
    }
    const bytes = await this._read(file), digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = [...digest].map(byte => byte.toString(16).padStart(2, "0")).join("");
    if (found !== sha256) throw new NeuralCodecError(`${file} is not the file that belongs here: its hash is ${found}`);
    return bytes;
  }
}
