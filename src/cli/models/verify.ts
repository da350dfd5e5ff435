import { statSync } from "node:fs";
import { expandPath } from "../../config/load.ts";
import { freshSha256 } from "../../inference/llama/hash.ts";
import { createManifest } from "../../inference/pull/manifest.ts";
import { defaultChunkSize } from "../../inference/pull/pull.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import { closest } from "../../lib/suggest.ts";
import { localModels } from "../../node/models.ts";
import { openSession } from "../session.ts";
import { interruptSignal } from "../ui/interrupt.ts";
import { print, printColumns, printJson } from "../ui/io.ts";
import { formatBytes } from "../ui/progress.ts";

export type VerifyOptions = { writeManifest?: string; json?: boolean };

type Verified = { id: string; path: string; status: "ok" | "not-recorded" | "mismatch"; bytes: number; sha256: string };

/** `models verify`: reads model files again and compares them with the SHA-256 of the day they were added. */
export async function runVerify(wanted: string | undefined, options: VerifyOptions): Promise<void> {
  const { config } = openSession();
  const all = localModels(config);
  if (wanted !== undefined && !Object.hasOwn(all, wanted)) throw unknown(wanted, Object.keys(all));
  if (options.writeManifest && wanted === undefined) throw manifestOfWhat();
  const interrupt = interruptSignal();
  const models: Verified[] = [];
  try {
    for (const [id, { path, sha256: recorded }] of Object.entries(all)) {
      if (wanted !== undefined && id !== wanted) continue;
      const sha256 = await freshSha256(path, { signal: interrupt.signal });
      const status = recorded === undefined ? "not-recorded" : recorded === sha256 ? "ok" : "mismatch";
      models.push({ id, path, status, bytes: statSync(path).size, sha256 });
    }
  } finally {
    interrupt.clear();
  }
  const wrong = models.filter(({ status }) => status === "mismatch");
  if (!options.json) printVerified(models);
  if (wrong.length > 0) throw mismatch(wrong);
  const manifest = options.writeManifest ? expandPath(options.writeManifest) : null;
  if (manifest !== null) {
    const content = await createManifest(models[0]!.path, defaultChunkSize);
    writeFileAtomic(manifest, `${JSON.stringify(content)}\n`, 0o644);
  }
  if (options.json) return printJson({ ok: true, models, manifest });
  if (manifest !== null) print(`\nThe hashes of its chunks are in ${manifest}.`);
}

function printVerified(models: Verified[]): void {
  if (models.length === 0) {
    print("There is no local model.");
    return;
  }
  const words = { ok: "ok", mismatch: "DIFFERS", "not-recorded": "not recorded" };
  printColumns(
    ["MODEL", "SIZE", "STATE", "SHA-256"],
    models.map(({ id, bytes, status, sha256 }) => [id, formatBytes(bytes), words[status], sha256]),
  );
  const unrecorded = models.find(({ status }) => status === "not-recorded");
  if (unrecorded) print(`\nTo record a hash: blindference models add ${unrecorded.id}=${unrecorded.path}`);
}

function mismatch(wrong: Verified[]): BlfError {
  const names = wrong.map(({ id }) => id).join(", ");
  return new BlfError({
    code: "MODEL_HASH_MISMATCH",
    message: `${wrong.length === 1 ? "A model file is" : "Model files are"} not what was added: ${names}`,
    hint: `Do not serve it. Remove it with \`blindference models remove ${wrong[0]!.id} --delete-file\` and pull it again.`,
  });
}

function manifestOfWhat(): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--write-manifest is for one model",
    hint: "Name it: blindference models verify ID --write-manifest FILE",
    exitCode: exitCodes.usage,
  });
}

function unknown(id: string, known: string[]): BlfError {
  const suggestion = closest(id, known);
  return new BlfError({
    code: "MODEL_UNKNOWN",
    message: `There is no local model ${id}`,
    hint: suggestion ? `Did you mean ${suggestion}?` : "Run `blindference models list` to see the models.",
    exitCode: exitCodes.usage,
  });
}
