import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { compile } from "./compile.ts";
import { measured, median, type Row } from "./report.ts";

const rounds = 40;

/** How long the file takes to start, against a compiled program that does nothing, and how large it is. */
export async function measureStart({ executable, root, directory }: Bench): Promise<Row[]> {
  const source = join(directory, "hello.ts");
  writeFileSync(source, `console.log("hello, world");\n`);
  const hello = await compile({ root, directory, name: "hello", source });
  const times: { ours: number[]; hello: number[] } = { ours: [], hello: [] };
  // The first pair brings both files into the page cache. After that they take turns, so that load falls on both alike.
  for (let round = -1; round < rounds; round++) {
    const ours = runOnce([executable, "--version"]);
    const theirs = runOnce([hello]);
    if (round < 0) continue;
    times.ours.push(ours);
    times.hello.push(theirs);
  }
  const ratio = median(times.ours) / median(times.hello);
  return [
    measured({ name: "start: --version", unit: "ms", values: times.ours }),
    measured({ name: "start: compiled hello-world", unit: "ms", values: times.hello }),
    measured({
      name: "start: ratio of the medians",
      unit: "×",
      values: [ratio],
      limit: 1.5,
      note: `${rounds} runs each, in turns`,
    }),
    measured({ name: "size of the file", unit: "MB", values: [statSync(executable).size / 1e6], limit: 130 }),
  ];
}

function runOnce(command: string[]): number {
  const started = performance.now();
  const child = Bun.spawnSync(command, { env: { PATH: "/nonexistent" }, stdout: "pipe", stderr: "pipe" });
  const ms = performance.now() - started;
  if (!child.success) throw new Error(`${command.join(" ")} exited ${child.exitCode}`);
  return ms;
}
