// neuralcodec in a web page: decodes `.nc` files, and shows every <img data-nc="photo.nc">.

import {DamagedFileError, NeuralCodecError} from "./lib/errors.js";

export {DamagedFileError, NeuralCodecError};

const ERRORS = {DamagedFileError, NeuralCodecError};
/** Pictures of more pixels are refused, unless an option says otherwise. */
export const MAX_PIXELS = 2 ** 26;

const settings = {weights: new URL("./weights/", import.meta.url).href};

let worker = null, lastId = 0;
const jobs = new Map();

/**
 * Say where the weights are, if not in the package; before anything is decoded or prepared.
 */
export function configure({weights}) {
  if (worker) throw new NeuralCodecError("configure comes before the first picture, and before prepare");
  if (weights) settings.weights = new URL(weights, document.baseURI).href;
}

/**
 * Get ready before there is a picture: load the weights of new files, and have the browser compile the decoder. A page that
 * waits for a file shows the first one sooner.
 */
export async function prepare() {
  worker ??= startWorker();
  const id = ++lastId;
  const done = new Promise((resolve, reject) => jobs.set(id, {prepared: resolve, error: error => reject(madeOf(error))}));
  worker.postMessage({type: "prepare", id});
  await done.finally(() => jobs.delete(id));
}

/** Decode a file to the pixels of a canvas, upright; `source` may be a URL that is still loading. */
export async function decode(source, options = {}) {
  const image = ({pixels, facts: {width, height, colorSpace}}) => new ImageData(pixels, width, height, {colorSpace});
  return image(await start(source, options, {as: "pixels"}, image));
}

/** Decode a file to a PNG file of exactly its pixels, upright, with its colour profile. */
export async function decodeToBlob(source, {compress = true, ...options} = {}) {
  const image = ({blob}) => blob;
  return image(await start(source, options, {as: "blob", compress}, image));
}

/** Show a file in an <img>, in stages if it has them. */
export async function show(img, source = img.dataset.nc, options = {}) {
  const url = new URL(source instanceof Blob ? "#" : source, document.baseURI).href;
  let shown = null;
  const current = () => img.dataset.nc === undefined || new URL(img.dataset.nc, document.baseURI).href === url;
  const put = blob => {
    if (!current()) return;
    const last = shown;
    img.src = shown = URL.createObjectURL(blob);
    if (last) URL.revokeObjectURL(last);
  };
  put(await decodeToBlob(source, {compress: false, onPreview: put, ...options}));
}

/** The error that a message tells of. */
function madeOf({name, message}) {
  return ERRORS[name] ? new ERRORS[name](message) : new DOMException(message, name);
}

function start(source, {signal, onProgress, onPreview, maxPixels = MAX_PIXELS, stage, everyStage}, form, image) {
  worker ??= startWorker();
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    const stop = () => worker.postMessage({type: "abort", id});
    signal?.throwIfAborted();
    signal?.addEventListener("abort", stop);
    const settle = done => value => {
      jobs.delete(id);
      signal?.removeEventListener("abort", stop);
      done(value);
    };
    jobs.set(id, {
      progress: ({share}) => onProgress?.(share),
      preview: message => onPreview?.(image(message), message.facts),
      picture: settle(resolve),
      error: error => settle(reject)(madeOf(error)),
    });
    worker.postMessage({type: "decode", id, options: {...form, maxPixels, stage, everyStage, previews: !!onPreview}});
    send(id, source, signal).catch(error => {
      stop();
      settle(reject)(error);
    });
  });
}

/** Give the worker the bytes of a source as they come. */
async function send(id, source, signal) {
  const part = (bytes, transfer = []) => worker.postMessage({type: "part", id, part: bytes}, transfer);
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    part(source instanceof ArrayBuffer ? new Uint8Array(source) : new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
    return part(null);
  }
  const reader = (await streamOf(source, signal)).getReader();
  for (let read; !(read = await reader.read()).done; ) {
    if (!jobs.has(id)) return void reader.cancel(); // it failed, or has enough
    part(read.value, read.value.byteLength === read.value.buffer.byteLength ? [read.value.buffer] : []);
  }
  part(null);
}

async function streamOf(source, signal) {
  if (source instanceof ReadableStream) return source;
  if (source instanceof Blob) return source.stream();
  const answer = source instanceof Response ? source : await fetch(source, {signal});
  if (!answer.ok) throw new NeuralCodecError(`cannot load ${answer.url}: ${answer.status} ${answer.statusText}`);
  return answer.body;
}

function startWorker() {
  let url = new URL("./lib/worker.js", import.meta.url);
  if (url.origin !== location.origin) { // a worker must be of the page's origin; what it imports need not
    url = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], {type: "text/javascript"}));
  }
  const started = new Worker(url, {type: "module"});
  started.addEventListener("message", ({data}) => jobs.get(data.id)?.[data.type](data));
  started.addEventListener("error", event => {
    for (const job of [...jobs.values()]) job.error({name: "NeuralCodecError", message: `the decoder stopped: ${event.message}`});
    worker?.terminate();
    worker = null;
  });
  started.postMessage({type: "configure", ...settings});
  return started;
}

// Every <img data-nc>, those of now and those to come.

const nearby = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    load(target);
  }
}, {rootMargin: "100%"});

function load(img) {
  const tell = (type, detail) => img.dispatchEvent(new CustomEvent(type, {detail, bubbles: true}));
  show(img, img.dataset.nc, {onProgress: share => tell("nc-progress", {share})}).then(
    () => tell("nc-load"),
    error => tell("nc-error", {error}) && console.error(`${img.dataset.nc}: ${error.message}`),
  );
}

function found(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  const images = [...node.querySelectorAll("img[data-nc]")];
  if (node.matches("img[data-nc]")) images.push(node);
  for (const img of images) img.loading === "lazy" ? nearby.observe(img) : load(img);
}

if (globalThis.document) {
  new MutationObserver(records => {
    for (const {type, target, addedNodes} of records) {
      if (type === "attributes") found(target);
      else addedNodes.forEach(found);
    }
  }).observe(document.documentElement, {subtree: true, childList: true, attributes: true, attributeFilter: ["data-nc"]});
  found(document.documentElement);
}
