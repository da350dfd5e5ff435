/** Lets one caller at a time through, in the order in which they came. */
export type Turns = <T>(signal: AbortSignal, action: () => Promise<T>) => Promise<T>;

/** What it returns throws the signal's reason when aborted before the turn came; the action never runs then. */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return (signal, action) =>
    new Promise((resolve, reject) => {
      const onAbort = () => reject(signal.reason);
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      last = last.then(async () => {
        signal.removeEventListener("abort", onAbort);
        if (signal.aborted) return onAbort();
        await action().then(resolve, reject);
      });
    });
}
