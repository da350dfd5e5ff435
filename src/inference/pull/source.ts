import * as z from "zod/mini";
import type { Clock } from "../../lib/clock.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { httpError, protocolError } from "./errors.ts";
import { withRetries } from "./remote.ts";
import { type Transport, urlRefused } from "./transport.ts";

/** Where a model comes from: the URL of a file, or a repository of the hub with the name of a file in it. */
export type PullSource = { url: string } | { repository: string; file: string | undefined };

/** `https://…/file.gguf`, `owner/repo` or `owner/repo:file.gguf`. @throws BlfError `PULL_SOURCE_INVALID` (usage), `PULL_URL_REFUSED` */
export function parseSource(text: string): PullSource {
  if (/^https?:\/\//i.test(text)) {
    if (!URL.canParse(text)) throw sourceInvalid(text);
    return { url: new URL(text).href };
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) throw urlRefused();
  const match = /^([\w.-]+\/[\w.-]+)(?::([\w./ +-]+\.gguf))?$/i.exec(text);
  const isPath = text.split(/[/:]/).some((part) => part === "." || part === "..");
  if (!match || isPath) throw sourceInvalid(text);
  return { repository: match[1]!, file: match[2] };
}

export type ResolveOptions = { hubUrl: string; transport: Transport; clock: Clock; signal: AbortSignal };

/**
 * The URL of a source's file. A repository without a file name must hold exactly one GGUF.
 * @throws BlfError `PULL_*`
 */
export async function resolveSource(source: PullSource, options: ResolveOptions): Promise<string> {
  if ("url" in source) return source.url;
  const { repository } = source;
  const file = source.file ?? onlyFile(repository, await listFiles(repository, options));
  const path = file.split("/").map(encodeURIComponent).join("/");
  return `${options.hubUrl}/${repository}/resolve/main/${path}`;
}

/** The name of a URL's file without `.gguf`: what its model is called unless somebody names it. */
export function defaultModelId(url: string): string {
  const name = decoded(new URL(url).pathname.split("/").at(-1) ?? "");
  return name.replace(/\.gguf$/i, "").toLowerCase();
}

/** A URL's part as it reads; a percent sign that encodes nothing stays one. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const listingSchema = z.object({ siblings: z.array(z.object({ rfilename: z.string() })) });
const largestListing = 8_000_000;

async function listFiles(repository: string, options: ResolveOptions): Promise<string[]> {
  const { transport, hubUrl } = options;
  const url = `${hubUrl}/api/models/${repository}`;
  const text = await withRetries(options, async () => {
    const answer = await transport.get(url, { Accept: "application/json" }, options.signal);
    const parts: Uint8Array[] = [];
    try {
      if (answer.status !== 200) throw httpError(answer.url, answer.status);
      let length = 0;
      for await (const part of answer.body) {
        length += part.length;
        if (length > largestListing) throw protocolError(answer.url, "lists too many files");
        parts.push(part);
      }
    } finally {
      answer.close();
    }
    return new TextDecoder().decode(Buffer.concat(parts));
  });
  try {
    return listingSchema.parse(JSON.parse(text)).siblings.map(({ rfilename }) => rfilename);
  } catch {
    throw protocolError(url, "gives no list of the repository's files");
  }
}

function onlyFile(repository: string, files: string[]): string {
  const models = files.filter((file) => /\.gguf$/i.test(file) && !isSplit(file)).sort();
  if (models.length === 1) return models[0]!;
  const hasSplit = files.some(isSplit);
  if (models.length === 0)
    throw new BlfError({
      code: "PULL_NOT_FOUND",
      message: `The repository ${repository} has no GGUF${hasSplit ? " in one piece" : ""}`,
      hint: hasSplit
        ? "Its models are split: join one with llama-gguf-split --merge and add it with `blindference models add ID=PATH`."
        : "Look for a repository whose name ends in GGUF.",
    });
  const names = models.slice(0, 12).map(printable).join(", ");
  throw new BlfError({
    code: "PULL_FILE_AMBIGUOUS",
    message: `The repository ${repository} has ${models.length} GGUF files`,
    hint: `Name one: ${repository}:FILE, of ${names}${models.length > 12 ? ", …" : ""}`,
    exitCode: exitCodes.usage,
  });
}

/** Whether a file is one part of a model that llama.cpp has split. */
export function isSplit(file: string): boolean {
  return /-\d{5}-of-\d{5}\.gguf$/i.test(file);
}

function sourceInvalid(text: string): BlfError {
  return new BlfError({
    code: "PULL_SOURCE_INVALID",
    message: `"${printable(text.slice(0, 200))}" is neither a URL nor a repository of the hub`,
    hint: "Write https://host/file.gguf, owner/repo or owner/repo:file.gguf.",
    exitCode: exitCodes.usage,
  });
}
