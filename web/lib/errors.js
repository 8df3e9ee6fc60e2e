/** Anything that keeps a picture from being shown; the message says what to do. */
export class NeuralCodecError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** The file is damaged, or asks for more than the limits. */
export class DamagedFileError extends NeuralCodecError {}
