import { Database } from "bun:sqlite";
import { chmodSync } from "node:fs";
import { errorCode } from "./errors.ts";

/** A lock that this process holds. The file is a database, in which the holder may keep what the next one should know. */
export type FileLock = { db: Database; release(): void };

export type FileLockOptions = {
  /** Whether the holder keeps something in the file. Without it the lock is taken on a full disk too. */
  keepsData?: boolean;
};

/** A database that nobody refers to is closed by the garbage collector, and its lock with it. */
const held = new Set<Database>();

/**
 * Takes the lock at `path`, or gives undefined while another process has it. The lock is the operating system's, held through SQLite: it
 * goes with the process, however that ends, so there are no stale lock files. Throws SQLite's or the system's error when the file cannot
 * be used.
 */
export function tryLockFile(path: string, { keepsData = false }: FileLockOptions = {}): FileLock | undefined {
  let db: Database | undefined;
  try {
    const opened = new Database(path, { create: true, strict: true });
    db = opened;
    chmodSync(path, 0o600);
    // The lock itself needs no disk, and what is kept in the file is a hint: it may be lost with the power.
    opened.run("PRAGMA synchronous = OFF");
    if (!keepsData) opened.run("PRAGMA journal_mode = MEMORY");
    opened.run("BEGIN EXCLUSIVE");
    held.add(opened);
    const release = () => {
      held.delete(opened);
      opened.close();
    };
    return { db: opened, release };
  } catch (error) {
    db?.close();
    if (/^SQLITE_(BUSY|LOCKED)/.test(errorCode(error))) return undefined;
    throw error;
  }
}
