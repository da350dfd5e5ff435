/** Lets a number of tasks run side by side; the others wait in the order in which they came. */
export type Queue = {
  /** Runs `task` when it is its turn; one that is aborted while it waits rejects with the signal's reason. */
  run<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T>;
};

export function createQueue(width: number): Queue {
  let running = 0;
  const waiting: (() => void)[] = [];
  const turn = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener("abort", leave);
        running++;
        resolve();
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(begin), 1);
        reject(signal.reason);
      };
      if (running < width) return begin();
      waiting.push(begin);
      signal.addEventListener("abort", leave, { once: true });
    });
  return {
    run: async (signal, task) => {
      signal.throwIfAborted();
      await turn(signal);
      try {
        return await task();
      } finally {
        running--;
        waiting.shift()?.();
      }
    },
  };
}
