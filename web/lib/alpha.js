// The alpha plane (docs/format.md, "Alpha"): raw LZMA2, then differences undone.

import {DamagedFileError} from "./errors.js";

const DICTIONARY = 2 ** 22;
const CONSTANT = 4, LEFT = 1, UP = 2;

const damaged = () => new DamagedFileError("damaged file: the alpha plane cannot be decoded");

/** The plane of a payload, `width` × `height` bytes. */
export function unpackAlpha(payload, width, height) {
  if (payload.length === 2 && payload[0] === CONSTANT) return new Uint8Array(width * height).fill(payload[1]);
  if (!payload.length || payload[0] > (LEFT | UP)) throw damaged();
  const plane = new Lzma2(payload.subarray(1), width * height).decode();
  if (payload[0] & UP) for (let n = width; n < plane.length; n++) plane[n] += plane[n - width];
  if (payload[0] & LEFT) for (let n = 1; n < plane.length; n++) if (n % width) plane[n] += plane[n - 1];
  return plane;
}

/** Decoder of a raw LZMA2 stream of known size; the output is its dictionary. */
class Lzma2 {
  constructor(data, size) {
    this.data = data;
    this.at = 0;
    this.out = new Uint8Array(size);
    this.written = 0;
    this.dictionaryStart = 0;
  }

  byte() {
    if (this.at >= this.data.length) throw damaged();
    return this.data[this.at++];
  }

  decode() {
    let needsDictionary = true, needsProperties = true;
    for (let control; (control = this.byte()) !== 0; ) {
      if (control === 1 || control >= 0xe0) {
        needsDictionary = false;
        needsProperties = true;
        this.dictionaryStart = this.written;
      } else if (needsDictionary) throw damaged();
      if (control < 0x80) {
        if (control > 2) throw damaged();
        const size = this.byte() * 256 + this.byte() + 1;
        if (this.at + size > this.data.length || this.written + size > this.out.length) throw damaged();
        this.out.set(this.data.subarray(this.at, this.at + size), this.written);
        this.at += size;
        this.written += size;
        continue;
      }
      const size = ((control & 31) << 16) + this.byte() * 256 + this.byte() + 1;
      const coded = this.byte() * 256 + this.byte() + 1;
      if (control >= 0xc0) {
        this.setProperties(this.byte());
        needsProperties = false;
      } else if (needsProperties) throw damaged();
      else if (control >= 0xa0) this.resetState();
      if (this.written + size > this.out.length || this.at + coded > this.data.length) throw damaged();
      this.chunk(this.written + size, this.at + coded);
    }
    if (this.written !== this.out.length || this.at !== this.data.length) throw damaged();
    return this.out;
  }

  setProperties(value) {
    if (value >= 9 * 5 * 5) throw damaged();
    this.lc = value % 9;
    this.lp = Math.floor(value / 9) % 5;
    this.pb = Math.floor(value / 45);
    if (this.lc + this.lp > 4) throw damaged();
    this.resetState();
  }

  resetState() {
    const fresh = length => new Uint16Array(length).fill(1024);
    this.state = 0;
    this.distances = [0, 0, 0, 0];
    this.literals = fresh(0x300 << (this.lc + this.lp));
    this.isMatch = fresh(12 << 4);
    this.isRepeat = fresh(12);
    this.isRepeat0 = fresh(12);
    this.isRepeat1 = fresh(12);
    this.isRepeat2 = fresh(12);
    this.isLong = fresh(12 << 4);
    this.slots = [0, 1, 2, 3].map(() => fresh(64));
    this.special = fresh(128);
    this.aligned = fresh(16);
    this.lengths = [0, 1].map(() => ({choice: fresh(2), low: fresh(16 << 3), middle: fresh(16 << 3), high: fresh(256)}));
  }

  bit(probabilities, n) {
    this.normalize();
    const p = probabilities[n], bound = (this.range >>> 11) * p;
    if (this.code < bound) {
      this.range = bound;
      probabilities[n] = p + ((2048 - p) >> 5);
      return 0;
    }
    this.range -= bound;
    this.code -= bound;
    probabilities[n] = p - (p >> 5);
    return 1;
  }

  normalize() {
    if (this.range < 2 ** 24) {
      this.range *= 256;
      this.code = this.code * 256 + this.byte();
    }
  }

  tree(probabilities, bits, first = 0) {
    let n = 1;
    for (let k = 0; k < bits; k++) n = 2 * n + this.bit(probabilities, first + n);
    return n - (1 << bits);
  }

  reverseTree(probabilities, bits, first) {
    let n = 1, value = 0;
    for (let k = 0; k < bits; k++) {
      const bit = this.bit(probabilities, first + n);
      n = 2 * n + bit;
      value |= bit << k;
    }
    return value;
  }

  direct(bits) {
    let value = 0;
    for (let k = 0; k < bits; k++) {
      this.normalize();
      this.range = Math.floor(this.range / 2);
      const bit = this.code >= this.range ? 1 : 0;
      if (bit) this.code -= this.range;
      value = value * 2 + bit;
    }
    return value;
  }

  length(which, place) {
    const {choice, low, middle, high} = this.lengths[which];
    if (!this.bit(choice, 0)) return 2 + this.tree(low, 3, place << 3);
    if (!this.bit(choice, 1)) return 10 + this.tree(middle, 3, place << 3);
    return 18 + this.tree(high, 8);
  }

  distance(length) {
    const slot = this.tree(this.slots[Math.min(length - 2, 3)], 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1, first = (2 | (slot & 1)) * 2 ** bits;
    if (slot < 14) return first + this.reverseTree(this.special, bits, first - slot);
    return first + this.direct(bits - 4) * 16 + this.reverseTree(this.aligned, 4, 0);
  }

  literal() {
    const {lc, lp, out, written} = this;
    const before = written > this.dictionaryStart ? out[written - 1] : 0;
    const place = (written - this.dictionaryStart) & ((1 << lp) - 1);
    const first = 0x300 * ((place << lc) + (before >> (8 - lc)));
    let symbol = 1;
    if (this.state >= 7) {
      let match = this.history(this.distances[0]);
      while (symbol < 0x100) {
        const expected = (match >> 7) & 1;
        match <<= 1;
        const bit = this.bit(this.literals, first + ((1 + expected) << 8) + symbol);
        symbol = 2 * symbol + bit;
        if (bit !== expected) break;
      }
    }
    while (symbol < 0x100) symbol = 2 * symbol + this.bit(this.literals, first + symbol);
    out[this.written++] = symbol;
    this.state = this.state < 4 ? 0 : this.state < 10 ? this.state - 3 : this.state - 6;
  }

  history(distance) {
    if (distance >= this.written - this.dictionaryStart || distance >= DICTIONARY) throw damaged();
    return this.out[this.written - 1 - distance];
  }

  /** The length of a match at one of the last distances, which comes to the front. */
  repeat(place) {
    const {state, distances} = this;
    if (!this.bit(this.isRepeat0, state)) {
      if (!this.bit(this.isLong, (state << 4) + place)) {
        this.state = state < 7 ? 9 : 11;
        return 1;
      }
    } else {
      const which = !this.bit(this.isRepeat1, state) ? 1 : !this.bit(this.isRepeat2, state) ? 2 : 3;
      distances.unshift(...distances.splice(which, 1));
    }
    this.state = state < 7 ? 8 : 11;
    return this.length(1, place);
  }

  chunk(end, stop) {
    this.range = 2 ** 32 - 1;
    this.code = 0;
    for (let k = 0; k < 5; k++) this.code = this.code * 256 + this.byte();
    if (this.code >= 2 ** 32) throw damaged();
    while (this.written < end) {
      const place = (this.written - this.dictionaryStart) & ((1 << this.pb) - 1), {state, distances} = this;
      if (!this.bit(this.isMatch, (state << 4) + place)) {
        this.literal();
        continue;
      }
      let length;
      if (!this.bit(this.isRepeat, state)) {
        length = this.length(0, place);
        this.state = state < 7 ? 7 : 10;
        distances.pop();
        distances.unshift(this.distance(length));
      } else {
        length = this.repeat(place);
      }
      this.history(distances[0]);
      if (this.written + length > end) throw damaged();
      for (const from = distances[0] + 1; length > 0; length--, this.written++) {
        this.out[this.written] = this.out[this.written - from];
      }
    }
    this.normalize();
    if (this.code !== 0 || this.at !== stop) throw damaged();
  }
}
