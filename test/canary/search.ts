import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Needle } from "./spellings.ts";

/** Something that was written down, or can be asked for. */
export type Place = { where: string; content: Buffer };

/** What is found where, each once. */
export function leaksIn(places: Place[], needles: Needle[]): string[] {
  const leaks = new Set<string>();
  for (const { where, content } of places)
    for (const { name, spelling, bytes } of needles)
      if (content.includes(bytes)) leaks.add(`${name} (${spelling}) in ${where}`);
  return [...leaks].sort();
}

/** Every file below a directory, with its path: a name may tell something too. */
export function filesBelow(directory: string): Place[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).flatMap((name) => {
    const path = join(directory, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) return [];
    return [{ where: path, content: Buffer.concat([Buffer.from(`${path}\n`), readFileSync(path)]) }];
  });
}

/** A process and all that it started, with their threads' names, arguments and environments. */
export function processTree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(processTree)];
}

export function childrenOf(pid: number): number[] {
  const tasks = readdirIfThere(`/proc/${pid}/task`);
  return tasks.flatMap((task) => textOf(`/proc/${pid}/task/${task}/children`).split(" ").filter(Boolean).map(Number));
}

export function processPlaces(pid: number): Place[] {
  const files = ["cmdline", "environ", "comm"].map((file) => `/proc/${pid}/${file}`);
  const name = textOf(`/proc/${pid}/cmdline`).split("\0").slice(0, 2).join(" ");
  return files.map((path) => ({ where: `${path} of ${name}`, content: Buffer.from(textOf(path), "latin1") }));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // The process is gone, or not ours to look at.
    return "";
  }
}

function readdirIfThere(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** How often each needle is in the writable memory of a process, by name; undefined when it may not be read. */
export function copiesInMemory(pid: number, needles: Needle[]): Map<string, number> | undefined {
  const regions = textOf(`/proc/${pid}/maps`)
    .split("\n")
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line))
    .flatMap((match) => (match ? [[Number(`0x${match[1]}`), Number(`0x${match[2]}`)] as const] : []));
  if (regions.length === 0) return undefined;
  const found = new Map<string, number>();
  const file = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const [start, end] of regions) countIn(file, start, end, needles, found);
  } finally {
    closeSync(file);
  }
  return found;
}

const chunkBytes = 4 * 1024 * 1024;

function countIn(file: number, start: number, end: number, needles: Needle[], found: Map<string, number>): void {
  const longest = Math.max(...needles.map(({ bytes }) => bytes.length));
  const buffer = Buffer.allocUnsafe(chunkBytes + longest);
  for (let at = start; at < end; at += chunkBytes) {
    const wanted = Math.min(end - at, chunkBytes + longest);
    let length = 0;
    try {
      length = readSync(file, buffer, 0, wanted, at);
    } catch {
      // Pages that were never touched, and those of devices, cannot be read.
      continue;
    }
    const chunk = buffer.subarray(0, length);
    for (const { name, spelling, bytes } of needles)
      for (
        let index = chunk.indexOf(bytes);
        index >= 0 && index < chunkBytes;
        index = chunk.indexOf(bytes, index + 1)
      ) {
        const key = `${name} (${spelling})`;
        found.set(key, (found.get(key) ?? 0) + 1);
      }
  }
}
