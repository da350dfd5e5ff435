/** Gives `length` unpredictable bytes. Injected, so that a test can replay a run. */
export type RandomBytes = (length: number) => Uint8Array<ArrayBuffer>;

/** The operating system's generator. */
export const systemRandom: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));
