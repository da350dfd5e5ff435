import * as z from "zod";
import { invalidParams, RpcError } from "./rpc-error.ts";
import type { Methods } from "./rpc-method.ts";

type Id = string | number | null;
type Answer =
  | { jsonrpc: "2.0"; id: Id; result: unknown }
  | { jsonrpc: "2.0"; id: Id; error: { code: number; message: string; data?: string } };

/** A batch is not longer than this. */
const maxBatch = 1000;

const requestSchema = z.object({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  method: z.string(),
  params: z.unknown().optional(),
});

/**
 * Answers the body of a JSON-RPC 2.0 request: one call or a batch, in its order. Undefined when there is nothing to answer, that
 * is when all calls were notifications.
 */
export async function answerRequest(methods: Methods, body: string): Promise<Answer | Answer[] | undefined> {
  let message: unknown;
  try {
    message = JSON.parse(body);
  } catch {
    return failure(null, new RpcError(-32700, "parse error"));
  }
  if (!Array.isArray(message)) return answerCall(methods, message);
  if (message.length === 0) return failure(null, new RpcError(-32600, "empty batch"));
  if (message.length > maxBatch) return failure(null, new RpcError(-32600, `batch of more than ${maxBatch}`));
  const answers: Answer[] = [];
  for (const item of message) {
    const answer = await answerCall(methods, item);
    if (answer) answers.push(answer);
  }
  return answers.length > 0 ? answers : undefined;
}

async function answerCall(methods: Methods, message: unknown): Promise<Answer | undefined> {
  const request = requestSchema.safeParse(message);
  if (!request.success) return failure(idOf(message), new RpcError(-32600, "invalid request"));
  const { id, method, params } = request.data;
  const answer = await runMethod(methods, method, params).then(
    (result): Answer => ({ jsonrpc: "2.0", id: id ?? null, result }),
    (error): Answer => failure(id ?? null, error),
  );
  return id === undefined ? undefined : answer;
}

async function runMethod(methods: Methods, name: string, params: unknown): Promise<unknown> {
  const method = methods[name];
  if (!method) throw new RpcError(-32601, `the method ${name} does not exist/is not available`);
  if (params != null && !Array.isArray(params)) throw invalidParams("non-array args");
  return method(params ?? []);
}

/** The id of a message that is no request, if it has one. */
function idOf(message: unknown): Id {
  const id = (message as { id?: unknown } | null)?.id;
  return typeof id === "string" || typeof id === "number" ? id : null;
}

/** What is not an RpcError is a fault of ours or of the engine; its text may hold calldata, so it stays here. */
function failure(id: Id, error: unknown): Answer {
  const known = error instanceof RpcError ? error : new RpcError(-32603, "internal error");
  const { code, message, data } = known;
  return { jsonrpc: "2.0", id, error: { code, message, ...(data !== undefined && { data }) } };
}
