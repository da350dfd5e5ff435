import { drainMicrotasks } from "bun:jsc";

/** The simulated world's own time, which nobody in it may doubt. It stands still while anything can still happen at this moment. */
export type SimTime = {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Does something later, at this moment's earliest. Gives a function that takes it back. */
  after(ms: number, action: () => void): () => void;
  /** Does the next thing, and all that follows from it at once. False when there is nothing to do. */
  step(): boolean;
};

type Event = { at: number; order: number; action: (() => void) | undefined };

export function createTime(start: number): SimTime {
  const heap: Event[] = [];
  let now = start;
  let order = 0;
  return {
    now: () => now,
    after: (ms, action) => {
      const event: Event = { at: now + Math.max(0, ms), order: order++, action };
      push(heap, event);
      return () => {
        event.action = undefined;
      };
    },
    step: () => {
      for (;;) {
        const event = pop(heap);
        if (!event) return false;
        if (!event.action) continue;
        now = event.at;
        event.action();
        drainMicrotasks();
        return true;
      }
    },
  };
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let index = heap.length;
  heap.push(event);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (!first || !last || heap.length === 0) return first;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
  return first;
}
