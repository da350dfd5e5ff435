/** Runs actions one after the other, in the order in which they came, whether they succeed or not. */
export type Lock = <T>(action: () => Promise<T>) => Promise<T>;

export function createLock(): Lock {
  let tail: Promise<unknown> = Promise.resolve();
  return (action) => {
    const result = tail.then(action);
    tail = result.catch(() => {});
    return result;
  };
}
