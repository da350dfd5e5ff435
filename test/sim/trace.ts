/** The run's events, of which the last ones are kept. */
export type Trace = {
  add(who: string, what: string): void;
  last(count: number): string[];
  /** Of all events so far: equal runs have equal sums. */
  checksum(): string;
  count(): number;
};

const kept = 400;

export function createTrace(now: () => number): Trace {
  const lines: string[] = [];
  let count = 0;
  let sum = 0x811c9dc5;
  return {
    add: (who, what) => {
      const line = `${(now() / 1000).toFixed(3).padStart(9)} ${who.padEnd(8)} ${what}`;
      for (let index = 0; index < line.length; index++) sum = Math.imul(sum ^ line.charCodeAt(index), 0x01000193);
      lines[count++ % kept] = line;
    },
    last: (wanted) => {
      const from = Math.max(0, count - Math.min(wanted, kept));
      return Array.from({ length: count - from }, (_, index) => lines[(from + index) % kept]!);
    },
    checksum: () => (sum >>> 0).toString(16).padStart(8, "0"),
    count: () => count,
  };
}
