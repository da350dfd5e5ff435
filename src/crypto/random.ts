/** Gives `length` unpredictable bytes. Injected, so that a test can replay a run. */
export type RandomBytes = (length: number) => Uint8Array<ArrayBuffer>;

/** The operating system's generator. */
export const systemRandom: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

/** A number, uniform in [0, 1), out of random bytes. */
export function uniform(random: RandomBytes): number {
  return new DataView(random(4).buffer).getUint32(0) / 2 ** 32;
}
