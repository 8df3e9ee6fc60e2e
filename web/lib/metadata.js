// What else a file carries: zlib streams, the orientation in EXIF, the colour space of an ICC profile.

import {DamagedFileError} from "./errors.js";

const METADATA_BYTES = 2 ** 24;

/** A metadata payload decompressed, or null if there is none. */
export async function inflated(payload) {
  if (!payload) return null;
  const reader = new Blob([payload]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  let size = 0;
  try {
    for (let part; !(part = await reader.read()).done; ) {
      parts.push(part.value);
      size += part.value.length;
      if (size > METADATA_BYTES) throw new Error("too long");
    }
  } catch {
    reader.cancel().catch(() => {});
    throw new DamagedFileError("damaged file: its metadata cannot be decompressed");
  }
  const out = new Uint8Array(size);
  for (let n = 0, at = 0; n < parts.length; at += parts[n++].length) out.set(parts[n], at);
  return out;
}

/** The orientation that an EXIF block asks for, 1 to 8. */
export function orientationOf(exif) {
  if (!exif || exif.length < 8) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length), little = exif[0] === 0x49;
  const first = view.getUint32(4, little);
  if (first + 2 > exif.length) return 1;
  for (let n = 0, at = first + 2; n < view.getUint16(first, little) && at + 12 <= exif.length; n++, at += 12) {
    if (view.getUint16(at, little) === 0x0112) {
      const value = view.getUint16(at + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  }
  return 1;
}

/** Interleaved samples turned as an orientation asks for: `{data, width, height}`. */
export function turned(data, width, height, channels, orientation) {
  if (orientation === 1) return {data, width, height};
  const swap = orientation > 4, out = new Uint8Array(data.length);
  const mirrored = [2, 3, 7, 8].includes(orientation), flipped = [3, 4, 6, 7].includes(orientation);
  const [wide, high] = swap ? [height, width] : [width, height];
  for (let row = 0, to = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      // Where in the stored picture this pixel lies.
      let [i, j] = swap ? [column, row] : [row, column];
      if (flipped) i = height - 1 - i;
      if (mirrored) j = width - 1 - j;
      for (let c = 0, from = (i * width + j) * channels; c < channels; c++) out[to++] = data[from++];
    }
  }
  return {data: out, width: wide, height: high};
}

// Red, green and blue of a colour space as its profiles have them: XYZ, adapted to D50.
const PRIMARIES = {
  "srgb": [0.436, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141],
  "display-p3": [0.5151, 0.2412, -0.0011, 0.292, 0.6922, 0.0419, 0.1571, 0.0666, 0.7841],
};

/** The colour space of a canvas whose pixels those of a profile are: "srgb", "display-p3", or null for another. */
export function colorSpaceOf(icc) {
  if (!icc) return "srgb";
  try {
    const view = new DataView(icc.buffer, icc.byteOffset, icc.length), tags = new Map();
    for (let n = 0; n < Math.min(view.getUint32(128), 100); n++) {
      const at = 132 + 12 * n;
      tags.set(String.fromCharCode(...icc.subarray(at, at + 4)), view.getUint32(at + 4));
    }
    if (tags.has("kTRC")) return isSrgbCurve(view, tags.get("kTRC")) ? "srgb" : null;
    if (![..."rgb"].every(c => isSrgbCurve(view, tags.get(`${c}TRC`)))) return null;
    const found = [..."rgb"].flatMap(c => [8, 12, 16].map(k => view.getInt32(tags.get(`${c}XYZ`) + k) / 65536));
    const same = name => PRIMARIES[name].every((value, n) => Math.abs(value - found[n]) < 0.003);
    return Object.keys(PRIMARIES).find(same) ?? null;
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return null; // no profile of this kind
    throw error;
  }
}

function isSrgbCurve(view, at) {
  const expected = x => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const curve = curveAt(view, at);
  return [0.02, 0.1, 0.25, 0.5, 0.75, 1].every(x => Math.abs(curve(x) - expected(x)) < 0.004);
}

function curveAt(view, at) {
  if (view.getUint32(at) === 0x63757276) { // curv
    const count = view.getUint32(at + 8);
    if (count === 0) return x => x;
    if (count === 1) return x => x ** (view.getUint16(at + 12) / 256);
    return x => view.getUint16(at + 12 + 2 * Math.round(x * (count - 1))) / 65535;
  }
  const kind = view.getUint16(at + 8), value = n => view.getInt32(at + 12 + 4 * n) / 65536;
  if (view.getUint32(at) !== 0x70617261 || (kind !== 0 && kind !== 3)) throw new TypeError("another curve"); // para
  if (kind === 0) return x => x ** value(0);
  return x => (x >= value(4) ? (value(1) * x + value(2)) ** value(0) : value(3) * x);
}
