/**
 * Starts tasks that belong together. When one fails the others are aborted, and the first error is thrown once all have
 * ended, so that nothing goes on in the background with data that nobody owns any more.
 */
export async function allOrAbort<const T extends readonly ((signal: AbortSignal) => Promise<unknown>)[]>(
  tasks: T,
  signal: AbortSignal,
): Promise<{ -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }> {
  const controller = new AbortController();
  const combined = AbortSignal.any([signal, controller.signal]);
  let first: { error: unknown } | undefined;
  const results = await Promise.all(
    tasks.map(async (task) => {
      try {
        return await task(combined);
      } catch (error) {
        first ??= { error };
        controller.abort(error);
        return undefined;
      }
    }),
  );
  if (first) throw first.error;
  return results as { -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> };
}

/** Waits for a promise that knows no signal, and stops waiting when the signal is aborted. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {});
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
