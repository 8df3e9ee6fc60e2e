// PNG files of decoded pixels, with the profile of the picture: exact, also where they are transparent.

import {crc32} from "./container.js";

const TYPES = [0, 0, 4, 2, 6]; // by the number of channels

/** A PNG file of interleaved samples with 1 to 4 channels; stored without compression if it is only to be shown. */
export async function png({data, width, height, channels, icc}, {compress}) {
  const parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10)];
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, TYPES[channels]], 8);
  parts.push(...chunk("IHDR", header));
  if (icc) parts.push(...chunk("iCCP", joined([text("icc\0\0"), await deflated(icc)])));
  const rows = filtered(data, width * channels, channels, compress);
  parts.push(...chunk("IDAT", compress ? await deflated(rows) : stored(rows)), ...chunk("IEND", new Uint8Array(0)));
  return new Blob(parts, {type: "image/png"});
}

/** The rows, each behind the number of its filter: none, or Paeth's. */
function filtered(data, stride, channels, paeth) {
  const out = new Uint8Array(data.length + data.length / stride);
  for (let from = 0, to = 0; from < data.length; from += stride) {
    out[to++] = paeth ? 4 : 0;
    if (!paeth) out.set(data.subarray(from, from + stride), to);
    else {
      for (let n = 0; n < stride; n++) {
        const left = n < channels ? 0 : data[from + n - channels], above = from ? data[from + n - stride] : 0;
        const corner = from && n >= channels ? data[from + n - stride - channels] : 0;
        const a = Math.abs(above - corner), b = Math.abs(left - corner), c = Math.abs(left + above - 2 * corner);
        out[to + n] = data[from + n] - (a <= b && a <= c ? left : b <= c ? above : corner);
      }
    }
    to += stride;
  }
  return out;
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A zlib stream of stored blocks. */
function stored(bytes) {
  const parts = [Uint8Array.of(0x78, 0x01)];
  for (let at = 0; at < bytes.length; at += 65535) {
    const block = bytes.subarray(at, at + 65535), n = block.length;
    parts.push(Uint8Array.of(at + n === bytes.length, n, n >> 8, ~n, ~n >> 8), block);
  }
  let a = 1, b = 0;
  for (let at = 0; at < bytes.length; ) {
    for (const end = Math.min(at + 3800, bytes.length); at < end; at++) b += a += bytes[at]; // below 2^32
    a %= 65521;
    b %= 65521;
  }
  parts.push(Uint8Array.of(b >> 8, b, a >> 8, a));
  return joined(parts);
}

function chunk(type, content) {
  const head = new Uint8Array(8), tail = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, content.length);
  head.set(text(type), 4);
  new DataView(tail.buffer).setUint32(0, crc32(content, crc32(head.subarray(4))));
  return [head, content, tail];
}

const text = string => Uint8Array.from(string, c => c.charCodeAt(0));

function joined(parts) {
  const out = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  for (let n = 0, at = 0; n < parts.length; at += parts[n++].length) out.set(parts[n], at);
  return out;
}
