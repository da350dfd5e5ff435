import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Clock } from "../../src/lib/clock.ts";
import { type Journal, openJournal } from "../../src/node/journal/journal.ts";
import { Crash, type Life } from "./life.ts";

/** A node's journal on its disk, which outlives the node's runs. */
export type Disk = {
  /** Opens the journal for one run. */
  open(clock: Clock, life: Life): Journal;
  /** Ends the run's access. When the power goes, what was not made durable goes too. */
  cut(losesPower: boolean): void;
  /** The journal as it is, for the one who judges. */
  inspect(): Journal;
};

export type DiskOptions = {
  path: string;
  isFull(): boolean;
  /** Whether what is not yet durable can get lost, and so must be told apart. */
  canLosePower: boolean;
  onWrite(method: string, args: unknown[]): void;
};

const reads = new Set(["find", "unfinished", "recent", "countByState", "commitments", "fact", "pending", "close"]);

class DiskFull extends Error {
  readonly code = "SQLITE_FULL";
}

export function createDisk(options: DiskOptions): Disk {
  const { path } = options;
  const files = [path, `${path}-wal`];
  let journal: Journal | undefined;
  let durable: (Uint8Array | undefined)[] = [];

  const keep = () => {
    if (options.canLosePower)
      durable = files.map((file) => (existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined));
  };

  const close = () => {
    journal?.close();
    journal = undefined;
  };

  return {
    open: (clock, life) => {
      close();
      const real = openJournal(path, clock);
      journal = real;
      keep();
      const guard = <T extends object>(target: T, prefix: string): T =>
        new Proxy(target, {
          get: (object, name) => {
            const value = Reflect.get(object, name) as unknown;
            if (typeof value === "object" && value !== null) return guard(value, `${String(name)}.`);
            if (typeof value !== "function") return value;
            const method = `${prefix}${String(name)}`;
            if (reads.has(String(name)))
              return (...args: unknown[]) => {
                if (life.isOver()) throw new Crash();
                if (name !== "close") return Reflect.apply(value, object, args) as unknown;
                return close();
              };
            return (...args: unknown[]) => {
              if (!life.passes(`journal ${method}: before`)) throw new Crash();
              if (options.isFull()) throw new DiskFull("database or disk is full");
              const result = Reflect.apply(value, object, args) as unknown;
              if (isDurable(method, args)) keep();
              options.onWrite(method, args);
              if (!life.passes(`journal ${method}: after`)) throw new Crash();
              return result;
            };
          },
        });
      return guard(real, "");
    },
    cut: (losesPower) => {
      close();
      if (!losesPower) return;
      for (const [index, file] of files.entries()) {
        rmSync(file, { force: true });
        const bytes = durable[index];
        if (bytes) writeFileSync(file, bytes);
      }
      rmSync(`${path}-shm`, { force: true });
    },
    inspect: () => {
      journal ??= openJournal(path, { now: () => 0, sleep: () => Promise.resolve() });
      return journal;
    },
  };
}

/** What promises in its documentation to be on the disk when it returns. */
function isDurable(method: string, args: unknown[]): boolean {
  if (method !== "advance" && method !== "update") return true;
  return args.some((argument) => (argument as { durable?: unknown } | undefined)?.durable === true);
}
