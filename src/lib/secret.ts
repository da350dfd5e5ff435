/** `inspect.custom` of node:util, without loading that. */
const inspected: unique symbol = Symbol.for("nodejs.util.inspect.custom");

const redacted = "[redacted]";

/** Holds a value that must not be printed. Every way of turning it into text gives `[redacted]`. */
export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself. Call it where the value is used, and do not keep what it returns. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspected](): string {
    return redacted;
  }
}

/** Overwrites bytes that held a secret. The runtime may have copied them elsewhere; this is what can be done. */
export function wipe(...buffers: (Uint8Array | undefined)[]): void {
  for (const buffer of buffers) buffer?.fill(0);
}
