import type { Context as HonoContext } from "hono";
import type { Address } from "viem";
import type * as z from "zod";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { parseJson, stringifyJson } from "../../lib/json.ts";
import type { Logger } from "../../lib/log.ts";

export type Env = {
  Variables: {
    /** Who signed the request; set on /internal routes only. */
    signer: Address;
    /** The body as it was received, once somebody read it. */
    body: Uint8Array;
  };
};

export type Status = 200 | 400 | 401 | 402 | 403 | 404 | 409 | 413 | 422 | 500 | 502 | 503;

/** A request that is answered with `{"detail": …}`, as FastAPI does (PROTOCOL.md 4). */
export class RequestError extends Error {
  override readonly name = "RequestError";
  constructor(
    readonly status: Status,
    readonly detail: unknown,
  ) {
    super(typeof detail === "string" ? detail : "the request is not valid");
  }
}

/** A JSON answer in which a bigint is a JSON integer of full precision. */
export function answer(c: HonoContext<Env>, value: unknown, status: Status = 200): Response {
  return c.body(stringifyJson(value), status, { "Content-Type": "application/json" });
}

/** Turns whatever a route throws into an answer. Messages of unexpected errors stay in the log. */
export function answerError(c: HonoContext<Env>, log: Logger, error: unknown): Response {
  if (error instanceof RequestError) return answer(c, { detail: error.detail }, error.status);
  log.error("a request failed", { code: errorCode(error), path: c.req.path });
  if (error instanceof BlfError && error.retryable)
    return answer(c, { detail: "a service that this coordinator needs does not answer; try again later" }, 503);
  return answer(c, { detail: "Internal server error" }, 500);
}

/**
 * The raw body, read once. Reading stops as soon as it is too large.
 * @throws RequestError 413
 */
export async function readBody(c: HonoContext<Env>, maxBytes: number): Promise<Uint8Array> {
  const known = c.get("body");
  if (known) return known;
  const tooLarge = () => new RequestError(413, `request body is larger than ${maxBytes} bytes`);
  if (Number(c.req.header("content-length") ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (c.req.raw.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const body = new Uint8Array(Buffer.concat(chunks));
  c.set("body", body);
  return body;
}

/**
 * The body as JSON.
 * @throws RequestError 400 `Invalid JSON body`, 413
 */
export async function readJsonBody(c: HonoContext<Env>, maxBytes: number): Promise<unknown> {
  const bytes = await readBody(c, maxBytes);
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new RequestError(400, "Invalid JSON body");
  }
}

/**
 * Checks a value the way FastAPI checks a typed body.
 * @throws RequestError 422 with `[{type, loc, msg, input}]`
 */
export function parseTyped<S extends z.ZodType>(schema: S, value: unknown, place: "body" | "query"): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw new RequestError(
    422,
    result.error.issues.map((issue) => {
      const missing = issue.input === undefined;
      return {
        type: missing ? "missing" : issue.code,
        loc: [place, ...issue.path.map(String)],
        msg: missing ? "Field required" : issue.message,
        // The original echoes the whole input; a scalar is enough to find the mistake and cannot be a whole document.
        input: isScalar(issue.input) ? issue.input : null,
      };
    }),
  );
}

/**
 * Checks a value the way the coordinator's hand-made checks do, which answer 400 with a text (PROTOCOL.md 4.5).
 * @throws RequestError 400
 */
export function parseLoose<S extends z.ZodType>(schema: S, value: unknown, name: string): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const { issues } = result.error;
  const lines = issues.map(
    (issue) => `${issue.path.join(".")}\n  ${issue.input === undefined ? "Field required" : issue.message}`,
  );
  const count = `${issues.length} validation error${issues.length === 1 ? "" : "s"}`;
  throw new RequestError(400, `${count} for ${name}\n${lines.join("\n")}`);
}

function isScalar(value: unknown): boolean {
  return value !== undefined && (value === null || typeof value !== "object") && String(value).length <= 200;
}
