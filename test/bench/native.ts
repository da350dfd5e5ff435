import { join } from "node:path";
import { packagesOf } from "../../native/cross.ts";
import { cachedPack, packContent } from "../../native/pack.ts";
import { platforms } from "../../native/platforms.ts";
import { embedPack } from "../../native/plugins.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";
import type { Bench } from "./bench.ts";
import { compile } from "./compile.ts";
import { measured, type Row } from "./report.ts";

const rounds = 10;

/** How long it takes to put llama.cpp's libraries on the disk, and to find them there at a later start. */
export async function measureNative({ root, directory, say }: Bench): Promise<Row[]> {
  const platform = platforms[hostTarget()];
  const pack = cachedPack(packContent(platform, packagesOf(platform, root), say), join(root, "build", "packs"));
  const source = join(import.meta.dir, "native-child.ts");
  const program = await compile({ root, directory, name: "extract", source, plugins: [embedPack(pack)] });
  const [first, later]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const cache = join(directory, `native-${round}`);
    first.push(await inFreshProcess([program, cache], true));
    later.push(await inFreshProcess([program, cache], false));
  }
  const note = `${rounds} processes each, with the pack compiled in`;
  return [
    measured({ name: "native libraries: first start", unit: "ms", values: first, limit: 300, note }),
    measured({ name: "native libraries: later starts", unit: "ms", values: later, limit: 2, note }),
  ];
}

/** A process does this once in its life, so one that has done it before and has its code compiled is no measure. */
async function inFreshProcess(command: string[], extracts: boolean): Promise<number> {
  const child = Bun.spawn(command, { env: { PATH: "/nonexistent" }, stdout: "pipe", stderr: "inherit" });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (code !== 0) throw new Error(`the extraction exited ${code}`);
  const { ms, extracted } = JSON.parse(text) as { ms: number; extracted: boolean };
  if (extracted !== extracts) throw new Error(`libraries were ${extracted ? "" : "not "}extracted`);
  return ms;
}
