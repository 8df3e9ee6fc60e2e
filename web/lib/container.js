// The `.nc` container (docs/format.md), read as it arrives: header, chunks, checksums, limits.

import {DamagedFileError} from "./errors.js";

export const CONV = 1, GRU = 2;
const CRITICAL = {T: 84, A: 65, Z: 90}, ICC = 105, EXIF = 101, XMP = 120;
const METADATA_BYTES = 2 ** 24;
const GRU_PIXELS = 2 ** 24;

const CRC_TABLE = Int32Array.from({length: 256}, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 over some more bytes; starts at 0. */
export function crc32(bytes, crc = 0) {
  crc = ~crc;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * A varint at an offset: its value and where it ends, or null where `bytes` end before it does.
 */
export function varint(bytes, offset) {
  let value = 0;
  for (let n = 0; n < 5; n++) {
    if (offset + n >= bytes.length) return null;
    const byte = bytes[offset + n];
    value += (byte & 127) * 2 ** (7 * n);
    if (byte < 128) {
      if (byte === 0 && n > 0) throw new DamagedFileError("damaged file: a number is longer than it needs to be");
      return [value, offset + n + 1];
    }
  }
  throw new DamagedFileError("damaged file: a number has more than 5 bytes");
}

const withSlack = bytes => bytes + Math.floor(bytes / 1000) + 1024;

/** What a header says. Sizes are of the stored picture, before its orientation is applied. */
export class Header {
  constructor(fields) {
    Object.assign(this, fields);
    this.tileCount = Math.ceil(this.width / this.tile) * Math.ceil(this.height / this.tile);
    this.stages = this.codec === GRU ? 1 + Math.floor((7 * this.quality + 5000) / 10000) : 1;
    /** How many times all tiles may be there; of `conv`, the second time are a detail layer. */
    this.layers = this.codec === CONV ? 2 : this.stages;
  }

  /** The header at the start of some bytes and its length, or null where they end before it does. */
  static parse(bytes) {
    const magic = [0x8e, 0x4e, 0x43];
    if (magic.some((value, n) => n < bytes.length && bytes[n] !== value)) {
      throw new DamagedFileError("not an .nc file");
    }
    if (bytes.length > 3 && bytes[3] !== 2) {
      throw new DamagedFileError(`the file has format version ${bytes[3]}; this reader knows version 2`);
    }
    if (bytes.length < 9) return null;
    const codec = bytes[4];
    if (codec !== CONV && codec !== GRU) throw new DamagedFileError(`the file needs codec ${codec}, which is not known`);
    const id = [...bytes.subarray(5, 9)].map(byte => byte.toString(16).padStart(2, "0")).join("");
    const values = [];
    let offset = 9;
    for (let n = 0; n < 3; n++) {
      const read = varint(bytes, offset);
      if (!read) return null;
      values.push(read[0]);
      offset = read[1];
    }
    if (offset >= bytes.length) return null;
    const [width, height, quality] = values, flags = bytes[offset++];
    if (!width || !height || quality > 10000 || flags >> 6 || (flags & 15) > 5) {
      throw new DamagedFileError("damaged file: the header has a value out of its range");
    }
    const tile = 64 << (flags & 15), grey = !!(flags & 16), alpha = !!(flags & 32);
    return [new Header({codec, weights: id, width, height, quality, tile, grey, alpha}), offset];
  }
}

/** Takes the bytes of a file in pieces; its fields hold what has come so far and passed its checksum. */
export class Container {
  /** `maxPixels` bounds width × height, each counted as 16 at least. */
  constructor({maxPixels}) {
    this._maxPixels = maxPixels;
    this._held = new Uint8Array(0);
    this._counts = new Map();
    this._headerCrc = 0;
    /** The `Header`, once a chunk has vouched for it. */
    this.header = null;
    /** Payloads of the `T` chunks. */
    this.tiles = [];
    this.alpha = this.icc = this.exif = this.xmp = null;
    /** Whether the end chunk has come, and all bytes so far. */
    this.complete = false;
    this.bytes = 0;
  }

  /** Take the next bytes. Throws `DamagedFileError`. */
  push(bytes) {
    this.bytes += bytes.length;
    if (this.complete && bytes.length) throw new DamagedFileError("damaged file: something follows its end");
    const data = new Uint8Array(this._held.length + bytes.length);
    data.set(this._held);
    data.set(bytes, this._held.length);
    let offset = 0;
    if (!this._parsed) {
      const parsed = Header.parse(data);
      if (parsed) {
        this._parsed = parsed[0];
        offset = parsed[1];
        this._headerCrc = crc32(data.subarray(0, offset));
        this._check(this._parsed);
      }
    }
    if (this._parsed) {
      for (let end; !this.complete && (end = this._chunk(data, offset)) !== null; ) offset = end;
      if (this.complete && offset < data.length) throw new DamagedFileError("damaged file: something follows its end");
    }
    this._held = data.slice(offset);
  }

  /** Say that no more bytes come. A `gru` file may end early, as long as one stage is whole. */
  finish() {
    if (this.complete) return;
    const wholeStage = this.header && this.tiles.length >= this.header.tileCount;
    if (this.header?.codec !== GRU || !wholeStage) throw new DamagedFileError("the file was cut short");
    this._checkAlpha();
  }

  _check(header) {
    const pixels = Math.max(header.width, 16) * Math.max(header.height, 16);
    const limit = header.codec === GRU ? Math.min(this._maxPixels, GRU_PIXELS) : this._maxPixels;
    if (pixels > limit) {
      throw new DamagedFileError(`the picture has ${header.width}x${header.height} pixels, more than the limit of ${limit}`);
    }
  }

  _limit(type) {
    const {tile, width, height} = this._parsed;
    if (type === CRITICAL.T) return 4 * tile * tile;
    if (type === CRITICAL.A) return withSlack(width * height);
    if (type === CRITICAL.Z) return 0;
    return [ICC, EXIF, XMP].includes(type) ? withSlack(METADATA_BYTES) : Infinity;
  }

  /** Read the chunk at an offset; null where `data` end before it does. */
  _chunk(data, offset) {
    if (offset >= data.length) return null;
    const type = data[offset], name = String.fromCharCode(type), header = this._parsed;
    const critical = type < 97 || type > 122;
    if (critical && !Object.values(CRITICAL).includes(type)) {
      throw new DamagedFileError(`damaged file: there is a chunk of unknown type ${type}`);
    }
    const number = this._counts.get(type) ?? 0;
    const most = {T: header.tileCount * header.layers, A: header.alpha ? 1 : 0, Z: 1, i: 1, e: 1, x: 1}[name];
    if (number >= (most ?? Infinity)) throw new DamagedFileError(`damaged file: there are too many chunks ${name}`);
    const read = varint(data, offset + 1);
    if (!read) return null;
    const [length, start] = read;
    if (length > this._limit(type)) throw new DamagedFileError(`damaged file: chunk ${name} claims ${length} bytes, too many`);
    const end = start + length;
    if (end + 4 > data.length) return null;
    const view = new DataView(data.buffer, data.byteOffset);
    const place = Uint8Array.of(number, number >> 8, number >> 16, number >> 24);
    if (crc32(place, crc32(data.subarray(offset, end), this._headerCrc)) !== view.getUint32(end, true)) {
      throw new DamagedFileError(`damaged file: the checksum of chunk ${name} is wrong`);
    }
    this._counts.set(type, number + 1);
    this.header = header; // vouched for by now
    const payload = data.slice(start, end);
    if (name === "T") this.tiles.push(payload);
    else if (name === "A") this.alpha = payload;
    else if (name === "i") this.icc = payload;
    else if (name === "e") this.exif = payload;
    else if (name === "x") this.xmp = payload;
    else if (name === "Z") this._finishWhole();
    return end + 4;
  }

  _finishWhole() {
    const {tileCount, stages, layers} = this.header, held = this.tiles.length / tileCount;
    if (held !== stages && held !== layers) throw new DamagedFileError("damaged file: tiles are missing");
    this._checkAlpha();
    this.complete = true;
  }

  _checkAlpha() {
    if (this.header.alpha && !this.alpha) throw new DamagedFileError("damaged file: the alpha plane is missing");
  }
}
