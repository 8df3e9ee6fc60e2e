/** What can be decoded: bytes, a file, a stream, an answer of `fetch`, or an address. */
export type Source = Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | Response | URL | string;

/** What is known of a picture. */
export interface Facts {
  width: number;
  height: number;
  /** Stages shown, and stages of the whole file; 1 and 1 unless the file comes in stages. */
  stage: number;
  stages: number;
  /** Bytes of the file that have come. */
  bytes: number;
  /** The canvas that the pixels are for; null for the pixels of a PNG file with another profile. */
  colorSpace: "srgb" | "display-p3" | null;
}

export interface Options<Image> {
  signal?: AbortSignal;
  /** Called with shares of the work, from 0 to 1. */
  onProgress?(share: number): void;
  /** Called with what a file in stages shows while more of it is on its way. */
  onPreview?(image: Image, facts: Facts): void;
  /** Call `onPreview` after every stage, however fast they come. */
  everyStage?: boolean;
  /** The last stage to decode. */
  stage?: number;
  /** Pictures of more pixels are refused; `MAX_PIXELS` if there is none. */
  maxPixels?: number;
}

/** Decode a file to the pixels of a canvas, upright. Rejects with `NeuralCodecError`. */
export function decode(source: Source, options?: Options<ImageData>): Promise<ImageData>;

/** Decode a file to a PNG file of exactly its pixels, upright, with its colour profile. */
export function decodeToBlob(source: Source, options?: Options<Blob> & {compress?: boolean}): Promise<Blob>;

/** Show a file in an <img>: that of its `data-nc` if there is no `source`. */
export function show(img: HTMLImageElement, source?: Blob | URL | string, options?: Options<Blob>): Promise<void>;

/** Load the weights of new files and set the decoder up before there is a picture, so that the first one is shown sooner. */
export function prepare(): Promise<void>;

/** Say where the folder of weights is, if not in the package; before anything is decoded or prepared. */
export function configure(places: {weights?: URL | string}): void;

/** Anything that keeps a picture from being shown. */
export class NeuralCodecError extends Error {}

/** The file is damaged, or asks for more than the limits. */
export class DamagedFileError extends NeuralCodecError {}

/** The pixels that a picture may have, unless an option says otherwise. */
export const MAX_PIXELS: number;
