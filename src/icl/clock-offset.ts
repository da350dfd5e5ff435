import type { Clock } from "../lib/clock.ts";

/** How far this machine's clock is ahead of a service's, learned from the `Date` of its answers. */
export type ClockOffset = {
  /** `sentAt` is when the request left, in milliseconds since the epoch by this machine's clock. */
  note(date: string | null, sentAt: number): void;
  /** Milliseconds; negative when this clock is behind, 0 when it is right, undefined before the first answer. */
  ms(): number | undefined;
};

/** `Date` counts whole seconds and answers take their time: less than this is no error of the clock, in milliseconds. */
const toleranceMs = 2000;

/** An answer that took longer than this says too little, in milliseconds. */
const longestMs = 2000;

export function createClockOffset(clock: Clock): ClockOffset {
  let offset: number | undefined;
  return {
    note: (date, sentAt) => {
      const serviceTime = date === null ? Number.NaN : Date.parse(date);
      const receivedAt = clock.now();
      if (Number.isNaN(serviceTime) || receivedAt < sentAt || receivedAt - sentAt > longestMs) return;
      const measured = Math.round((sentAt + receivedAt) / 2 - (serviceTime + 500));
      offset = Math.abs(measured) < toleranceMs ? 0 : measured;
    },
    ms: () => offset,
  };
}
