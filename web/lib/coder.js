// Symbols of a segment: probability tables, range decoder, escapes (docs/format.md, "Segment" to "Order of symbols").

import {varint} from "./container.js";
import {DamagedFileError} from "./errors.js";

const SHIFT = 2 ** 24, WORD = 2 ** 32;
const SYMBOL_LIMIT = 2 ** 19;
const NO_FIT = "damaged file: a tile's data do not fit its probability tables";

/** The tables of a weights file, as the limits of the range coder. */
export class Tables {
  constructor(counts, radius) {
    this.radius = radius;
    this.limits = [];
    let first = 0;
    for (const r of radius) {
      const entries = 2 * r + 2, limits = new Float64Array(entries + 1);
      let below = 0;
      for (let e = 0; e < entries; e++) {
        limits[e] = e + Math.floor(Math.fround((below / 65536) * (SHIFT - entries)));
        below += counts[first + e];
      }
      limits[entries] = SHIFT;
      this.limits.push(limits);
      first += entries;
    }
  }
}

/** Reads the symbols of one segment. */
export class SymbolReader {
  constructor(tables, segment) {
    this._tables = tables;
    let [count, offset] = varint(segment, 0) ?? [0, 0];
    this._escapes = [];
    while (count-- > 0) {
      const read = varint(segment, offset);
      if (!read) throw new DamagedFileError("damaged file: the escaped symbols of a tile are cut short");
      this._escapes.push(read[0] % 2 ? -(read[0] + 1) / 2 : read[0] / 2);
      offset = read[1];
    }
    this._nextEscape = 0;
    this._words = segment.subarray(offset);
    this._nextByte = 0;
    // The decoder keeps `point − low` and the range, each as 40 upper and 24 lower bits: doubles hold all of it.
    const high = this._word(), low = this._word();
    this._distanceHigh = high * 256 + (low >>> 24);
    this._distanceLow = low & 0xffffff;
    this._rangeHigh = 2 ** 40 - 1;
    this._rangeLow = SHIFT - 1;
  }

  /** One symbol for each element of `index`, the numbers of their tables, into `symbols`. */
  read(index, symbols) {
    const tables = this._tables, starts = new Uint32Array(tables.limits.length + 1);
    for (let n = 0; n < index.length; n++) starts[index[n] + 1]++;
    for (let t = 1; t < starts.length; t++) starts[t] += starts[t - 1];
    const next = starts.slice(), order = new Uint32Array(index.length);
    for (let n = 0; n < index.length; n++) order[next[index[n]]++] = n;
    for (let n = 0; n < starts[1]; n++) symbols[order[n]] = 0; // silent
    for (let table = 1; table < tables.limits.length; table++) {
      const limits = tables.limits[table], radius = tables.radius[table];
      for (let n = starts[table]; n < starts[table + 1]; n++) {
        const symbol = this._entry(limits) - radius;
        symbols[order[n]] = symbol > radius ? this._escape() : symbol;
      }
    }
  }

  _escape() {
    const value = this._escapes[this._nextEscape++];
    if (value === undefined || Math.abs(value) > SYMBOL_LIMIT) {
      throw new DamagedFileError("damaged file: the escaped symbols of a tile are wrong");
    }
    return value;
  }

  _word() {
    const bytes = this._words, at = this._nextByte;
    this._nextByte += 4;
    return ((bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) + (bytes[at + 3] ?? 0) * 2 ** 24) >>> 0;
  }

  _entry(limits) {
    // unit · n for n ≤ 2^24 is taken as two products that doubles hold exactly.
    const unit = this._rangeHigh, unitHigh = Math.floor(unit / SHIFT), unitLow = unit - unitHigh * SHIFT;
    let share = Math.floor((this._distanceHigh * SHIFT + this._distanceLow) / unit);
    let product = unitLow * share, carry = Math.floor(product / SHIFT);
    const rest = (this._distanceHigh - unitHigh * share - carry) * SHIFT + this._distanceLow - (product - carry * SHIFT);
    if (rest < 0) share--; // the quotient was rounded
    else if (rest >= unit) share++;
    if (share >= SHIFT) throw new DamagedFileError(NO_FIT);
    let low = 0, high = limits.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (limits[middle] <= share) low = middle;
      else high = middle;
    }
    const limit = limits[low], width = limits[low + 1] - limit;
    product = unitLow * limit;
    carry = Math.floor(product / SHIFT);
    this._distanceHigh -= unitHigh * limit + carry;
    this._distanceLow -= product - carry * SHIFT;
    if (this._distanceLow < 0) {
      this._distanceLow += SHIFT;
      this._distanceHigh--;
    }
    product = unitLow * width;
    carry = Math.floor(product / SHIFT);
    this._rangeHigh = unitHigh * width + carry;
    this._rangeLow = product - carry * SHIFT;
    if (this._rangeHigh < WORD / SHIFT) {
      const word = this._word();
      this._distanceHigh = (this._distanceHigh * SHIFT + this._distanceLow) * 256 + (word >>> 24);
      this._distanceLow = word & 0xffffff;
      this._rangeHigh = (this._rangeHigh * SHIFT + this._rangeLow) * 256;
      this._rangeLow = 0;
    }
    return low;
  }
}
