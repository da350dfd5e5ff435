import { packNotInstalled } from "../../inference/llama/packs/errors.ts";
import { packBytes } from "../../inference/llama/packs/pack-directory.ts";
import { removePacks } from "../../inference/llama/packs/remove.ts";
import { printJson, printTable } from "../ui/io.ts";
import { formatBytes } from "../ui/progress.ts";
import { parseEngine } from "./engine-install.ts";

/** `models engine remove`: deletes an engine in every version. A node that runs keeps what it has loaded. */
export async function runEngineRemove(name: string, options: { json?: boolean }): Promise<void> {
  const engine = parseEngine(name);
  const packs = removePacks(engine);
  if (packs.length === 0) throw packNotInstalled(engine);
  const removed = packs.map(({ directory }) => directory);
  const bytes = packs.reduce((sum, pack) => sum + packBytes(pack), 0);
  if (options.json) return printJson({ ok: true, engine, removed, bytes });
  printTable([
    ["removed", removed.join(", ")],
    ["freed", formatBytes(bytes)],
  ]);
}
