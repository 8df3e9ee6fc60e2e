// The decoder in a worker: takes the parts of files as messages, answers with progress, pictures, or an error.

import {Decoder} from "./decoder.js";
import {NeuralCodecError} from "./errors.js";
import {png} from "./png.js";
import {Library} from "./weights.js";

const jobs = new Map();
let decoder = null;

/** The decoder with the weights in a folder. */
function configured({weights}) {
  return new Decoder(new Library(async name => {
    const answer = await fetch(new URL(name, weights)).catch(() => null);
    if (!answer?.ok) throw new NeuralCodecError(`cannot load ${new URL(name, weights)}`);
    return new Uint8Array(await answer.arrayBuffer());
  }));
}

/** The parts of a file as they come. */
class Parts {
  constructor() {
    this._queue = [];
    this._wake = () => {};
  }

  push(part) {
    this._queue.push(part);
    this._wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (!this._queue.length) await new Promise(resolve => (this._wake = resolve));
      const part = this._queue.shift();
      if (part === null) return;
      if (part instanceof Error) throw part;
      yield part;
    }
  }
}

async function decode({id, options}, job) {
  const send = async (type, picture) => {
    const {data, width, height, channels, colorSpace, stage, stages, bytes} = picture;
    const facts = {width, height, stage, stages, bytes, colorSpace};
    if (options.as === "blob") {
      postMessage({type, id, facts, blob: await png(picture, {compress: options.compress})});
    } else if (colorSpace) {
      const pixels = rgba(data, channels);
      postMessage({type, id, facts, pixels}, [pixels.buffer]);
    } else {
      // Colours of another space: the browser turns them into those of its widest canvas.
      const bitmap = await createImageBitmap(await png(picture, {compress: false}));
      const context = new OffscreenCanvas(width, height).getContext("2d", {colorSpace: "display-p3"});
      context.drawImage(bitmap, 0, 0);
      const pixels = context.getImageData(0, 0, width, height, {colorSpace: "display-p3"}).data;
      postMessage({type, id, facts: {...facts, colorSpace: "display-p3"}, pixels}, [pixels.buffer]);
    }
  };
  try {
    const previews = [];
    const picture = await decoder.decode(job.parts, {
      ...options,
      signal: job.abort.signal,
      onProgress: share => postMessage({type: "progress", id, share}),
      onPicture: options.previews ? picture => previews.push(send("preview", picture)) : undefined,
    });
    await Promise.all(previews); // in order
    await send("picture", picture);
  } catch (error) {
    failed(id, error);
  } finally {
    jobs.delete(id);
  }
}

function failed(id, {name, message}) {
  postMessage({type: "error", id, name, message});
}

function rgba(data, channels) {
  const out = new Uint8ClampedArray((4 * data.length) / channels), grey = channels < 3, opaque = channels % 2 === 1;
  for (let from = 0, to = 0; to < out.length; from += channels, to += 4) {
    out[to] = data[from];
    out[to + 1] = data[grey ? from : from + 1];
    out[to + 2] = data[grey ? from : from + 2];
    out[to + 3] = opaque ? 255 : data[from + channels - 1];
  }
  return out;
}

addEventListener("message", ({data: message}) => {
  if (message.type === "configure") {
    decoder = configured(message);
  } else if (message.type === "prepare") {
    const {id} = message;
    decoder.prepare().then(() => postMessage({type: "prepared", id}), error => failed(id, error));
  } else if (message.type === "decode") {
    const job = {parts: new Parts(), abort: new AbortController()};
    jobs.set(message.id, job);
    decode(message, job);
  } else if (message.type === "part") {
    jobs.get(message.id)?.parts.push(message.part);
  } else if (message.type === "abort") {
    const job = jobs.get(message.id);
    job?.abort.abort();
    job?.parts.push(new DOMException("decoding was aborted", "AbortError"));
  }
});
