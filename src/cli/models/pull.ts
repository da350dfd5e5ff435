import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../config/load.ts";
import { freshSha256 } from "../../inference/llama/hash.ts";
import { sha256Pattern } from "../../inference/pull/digest.ts";
import { readManifest } from "../../inference/pull/manifest.ts";
import { type PullResult, pullFile } from "../../inference/pull/pull.ts";
import { agreedSha256, describeRemote } from "../../inference/pull/remote.ts";
import { defaultModelId, isSplit, parseSource, resolveSource } from "../../inference/pull/source.ts";
import { createTransport, type Transport } from "../../inference/pull/transport.ts";
import { systemClock } from "../../lib/clock.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { openSession } from "../session.ts";
import { interruptSignal } from "../ui/interrupt.ts";
import { printJson, printTable } from "../ui/io.ts";
import { createProgress, formatBytes } from "../ui/progress.ts";
import { assertIdFree, assertModelId, overrideNotices, registerModel } from "./register.ts";

export type PullCliOptions = {
  id?: string;
  sha256?: string;
  manifest?: string;
  connections: string;
  json?: boolean;
};

const defaultHub = "https://huggingface.co";

/** `models pull`: downloads a GGUF into the model directory and offers it. The same command, run again, goes on where it was stopped. */
export async function runPull(what: string, options: PullCliOptions): Promise<void> {
  const source = parseSource(what);
  const connections = parseConnections(options.connections);
  const wanted = parseSha256(options.sha256);
  const { config, secrets } = openSession();
  const hubUrl = config.model_hub_url || defaultHub;
  const clock = systemClock;
  const transport = createTransport({ fetch: globalThis.fetch, clock, hubUrl, token: secrets.hubToken });
  const { signal, clear } = interruptSignal();
  try {
    const url = await resolveSource(source, { hubUrl, transport, clock, signal });
    if (isSplit(new URL(url).pathname)) throw split();
    const id = options.id ?? defaultModelId(url);
    assertModelId(id);
    const target = join(config.model_cache_dir, `${id.replaceAll("/", "__")}.gguf`);
    assertIdFree(config, id, target);
    const manifest = options.manifest ? await readManifest(options.manifest, transport, signal) : undefined;
    const common = { url, target, transport, signal };
    const present = await alreadyThere({ ...common, sha256: wanted ?? manifest?.sha256 });
    const progress = options.json ? undefined : createProgress({ label: id });
    let result: PullResult;
    try {
      result =
        present ??
        (await pullFile({
          ...common,
          clock,
          connections,
          sha256: wanted,
          manifest,
          onProgress: ({ received, total }) => progress?.update(received, total),
        }));
    } finally {
      progress?.done();
    }
    finish(config, id, target, { ...result, downloaded: present === undefined }, options);
  } finally {
    clear();
  }
}

type Outcome = PullResult & { downloaded: boolean };

function finish(config: Config, id: string, path: string, result: Outcome, options: PullCliOptions): void {
  const { bytes, sha256, checkedAgainst, downloaded, resumed, refetched } = result;
  registerModel(config, id, { path, sha256 });
  const notices = overrideNotices("models", "supported_model_ids");
  if (checkedAgainst === null)
    notices.push("nobody named a SHA-256 to compare with: check it yourself, or give --sha256");
  if (options.json) {
    const counts = { resumedBytes: resumed, refetchedChunks: refetched };
    printJson({ ok: true, id, path, bytes, sha256, checkedAgainst, downloaded, ...counts, notices });
    return;
  }
  const by = {
    option: "as given",
    manifest: "as in the manifest",
    hub: "as the hub says",
    server: "as the server says",
  };
  printTable([
    ["model", id],
    ["file", `${path}, ${formatBytes(bytes)}${downloaded ? "" : ", was there already"}`],
    ["sha256", `${sha256}${checkedAgainst ? ` (${by[checkedAgainst]})` : ""}`],
    ...(resumed > 0 ? [["resumed", `${formatBytes(resumed)} were there from an earlier run`] as [string, string]] : []),
    ...(refetched > 0 ? [["repaired", `${refetched} fetched again`] as [string, string]] : []),
    ["next", `blindference test-determinism --model ${id}`],
    ...notices.map((notice): [string, string] => ["note", notice]),
  ]);
}

type Present = { url: string; target: string; transport: Transport; signal: AbortSignal; sha256: string | undefined };

/**
 * What a finished download of an earlier run counts as. It is taken for the same file only if somebody's SHA-256 says so.
 * @throws BlfError `MODEL_FILE_EXISTS`
 */
async function alreadyThere(options: Present): Promise<PullResult | undefined> {
  const { target, signal } = options;
  if (!existsSync(target)) return undefined;
  const remote = await describeRemote(options.url, { ...options, clock: systemClock });
  const expected = agreedSha256(options.sha256, remote);
  const sha256 = await freshSha256(target, { signal });
  if (sha256 !== expected) throw fileExists(target);
  const checkedAgainst = options.sha256 ? "option" : (remote.sha256From ?? null);
  return { bytes: statSync(target).size, sha256, checkedAgainst, resumed: 0, refetched: 0 };
}

function parseConnections(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= 32) return Number(text);
  throw usage("--connections must be a number from 1 to 32");
}

function parseSha256(text: string | undefined): string | undefined {
  const hex = text?.toLowerCase().replace(/^(sha256:|0x)/, "");
  if (hex === undefined || sha256Pattern.test(hex)) return hex;
  throw usage("--sha256 must be 64 hex digits");
}

function usage(message: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message,
    hint: "Run `blindference models pull --help`.",
    exitCode: exitCodes.usage,
  });
}

function split(): BlfError {
  return new BlfError({
    code: "MODEL_SPLIT_UNSUPPORTED",
    message: "That file is one part of a model that was split",
    hint: "Take a model in one piece, or join the parts with llama-gguf-split --merge and add it with `blindference models add ID=PATH`.",
  });
}

function fileExists(path: string): BlfError {
  return new BlfError({
    code: "MODEL_FILE_EXISTS",
    message: `There is another file, or one that nobody vouches for, at ${path}`,
    hint: "Give --sha256 if you know it, choose another --id, or delete that file.",
  });
}
