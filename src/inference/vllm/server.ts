import * as z from "zod/mini";
import { parseAnswer } from "../http/answer.ts";
import type { Caller } from "../http/caller.ts";
import { modelUnknown } from "../http/errors.ts";
import { exchange, type Wire } from "../http/exchange.ts";
import type { Service } from "../http/service.ts";

/** A server that is there says so within this time, in milliseconds; a job's own timeout is far longer. */
const answersWithinMs = 10_000;

const listSchema = z.object({ data: z.array(z.object({ id: z.string() })) });
const versionSchema = z.object({ version: z.string().check(z.regex(/^[\w.+-]{1,64}$/)) });

/**
 * Asks the server which models it has.
 * @throws BlfError `VLLM_MODEL_UNKNOWN` when it lists others only, and `VLLM_*`
 */
export async function checkModel(service: Service, caller: Caller, name: string, signal: AbortSignal): Promise<void> {
  const text = await caller.call({ path: "/v1/models", timeoutMs: answersWithinMs, signal });
  const { data } = parseAnswer(service, listSchema, JSON.parse(text));
  if (!data.some(({ id }) => id === name)) throw modelUnknown(service, name);
}

/** What the server says of its version, as vLLM does; undefined when it does not. */
export async function serverVersion(service: Service, wire: Wire, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { status, text } = await exchange(service, wire, { path: "/version", timeoutMs: answersWithinMs, signal });
    return status === 200 ? versionSchema.parse(JSON.parse(text)).version : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
