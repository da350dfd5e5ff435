import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { nodeDirectory } from "../cli/node-directory.ts";
import type { Bench } from "./bench.ts";
import { compile } from "./compile.ts";
import { measured, median, type Row } from "./report.ts";

/** Commands that read files only, and that people and scripts run often. Each must be over before anybody notices. */
const commandsOfFiles = [
  ["status", "--offline"],
  ["jobs", "list", "--offline"],
  ["config", "get", "icl_endpoint"],
];
const commandLimit = 60;

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
  const commands = measureCommands(executable, hello);
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
    ...commands,
    measured({ name: "size of the file", unit: "MB", values: [statSync(executable).size / 1e6], limit: 130 }),
  ];
}

/** What the commands of an initialised node take, with the empty program beside them: how much of it is the runtime's own start. */
function measureCommands(executable: string, hello: string): Row[] {
  using node = nodeDirectory();
  openJournal(join(node.dir, "journal.db"), systemClock).close();
  const lines = [...commandsOfFiles.map((words) => [executable, ...words]), [hello]];
  const times = lines.map((): number[] => []);
  for (let round = -1; round < rounds; round++)
    for (const [index, line] of lines.entries()) {
      const ms = runOnce(line, node.env);
      if (round >= 0) times[index]!.push(ms);
    }
  return [
    ...commandsOfFiles.map((words, index) =>
      measured({ name: `start: ${words.join(" ")}`, unit: "ms", values: times[index]!, limit: commandLimit }),
    ),
    measured({ name: "start: hello-world beside them", unit: "ms", values: times.at(-1)!, note: "in turns" }),
  ];
}

function runOnce(command: string[], variables: Record<string, string> = {}): number {
  const env = { PATH: "/nonexistent", ...variables };
  const started = performance.now();
  const child = Bun.spawnSync(command, { env, stdout: "pipe", stderr: "pipe" });
  const ms = performance.now() - started;
  if (!child.success) throw new Error(`${command.join(" ")} exited ${child.exitCode}`);
  return ms;
}
