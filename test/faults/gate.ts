import { decodeFunctionData, type Hex, parseTransaction } from "viem";
import * as z from "zod";
import { promptKeyStoreAbi } from "../../src/chain/abi/prompt-key-store.ts";
import type { Moment } from "../../src/lib/faults.ts";

/** What a node handed in: a leader's result or a verifier's verdict. */
export type Submission = { node: string; taskId: string; commitment: string; outputCid: string | undefined };

/** Something that a node does to the outside. `id` is the task's, for `broadcast` that of the output key. */
export type Act = { kind: "claim" | "broadcast" | "submit"; id: string };

/** Told before and after each act; true when the node was killed, so that the act, or the answer to it, goes no further. */
export type Watcher = (moment: Moment, act: Act) => boolean;

/** Stands between nodes and the devnet's coordinator and chain: it writes down what nodes hand in, and can kill them while they speak. */
export type Gate = {
  /** The variables that send a node through this gate. */
  variables(node: string): Record<string, string>;
  watch(node: string, watcher: Watcher): void;
  submissions: Submission[];
  stop(): Promise<void>;
};

const submissionBody = z.object({
  jobId: z.string(),
  commitment_hash: z.string(),
  output_cid: z.string().optional(),
});
const claimBody = z.object({ jobId: z.string() });
const rpcCall = z.object({ method: z.string(), params: z.array(z.unknown()).default([]) });
const rpcBody = z.union([z.array(rpcCall), rpcCall.transform((call) => [call])]);

export function startGate(targets: { rpc: string; icl: string }): Gate {
  const watchers = new Map<string, Watcher>();
  const submissions: Submission[] = [];

  const serve = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const [, node = "", service = "", ...rest] = pathname.split("/");
    const path = rest.join("/");
    const body = await request.text();
    const submission = /^internal\/task\/(result|verify)$/.test(path) ? toSubmission(node, body) : undefined;
    if (submission) submissions.push(submission);
    const acts: Act[] = service === "rpc" ? keysSent(body) : path === "internal/task/claim" ? [toClaim(body)] : [];
    if (submission) acts.push({ kind: "submit", id: submission.taskId });
    const killed = (moment: Moment) => acts.some((act) => watchers.get(node)?.(moment, act));
    if (killed("before")) return gone();
    const headers = new Headers(request.headers);
    for (const name of ["host", "connection", "content-length", "accept-encoding"]) headers.delete(name);
    const target = `${service === "rpc" ? targets.rpc : targets.icl}/${path}${search}`;
    const answer = await fetch(target, { method: request.method, headers, ...(body === "" ? {} : { body }) }).catch(
      () => undefined,
    );
    if (!answer) return gone();
    const content = await answer.arrayBuffer();
    if (killed("after")) return gone();
    return new Response(content, { status: answer.status, headers: { "Content-Type": "application/json" } });
  };

  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: serve, idleTimeout: 60 });
  const base = (node: string) => `http://127.0.0.1:${server.port}/${node}`;
  return {
    variables: (node) => ({ BLF_RPC_URL: `${base(node)}/rpc`, BLF_ICL_ENDPOINT: `${base(node)}/icl` }),
    watch: (node, watcher) => void watchers.set(node, watcher),
    submissions,
    stop: () => server.stop(true),
  };
}

/** For a node that is not there any more. */
function gone(): Response {
  return new Response(null, { status: 503 });
}

function toSubmission(node: string, body: string): Submission {
  const { jobId, commitment_hash, output_cid } = submissionBody.parse(JSON.parse(body));
  return { node, taskId: jobId, commitment: commitment_hash, outputCid: output_cid };
}

function toClaim(body: string): Act {
  return { kind: "claim", id: claimBody.parse(JSON.parse(body)).jobId };
}

/** The keys that the transactions of a request store. */
function keysSent(body: string): Act[] {
  return rpcBody
    .parse(JSON.parse(body))
    .filter(({ method }) => method === "eth_sendRawTransaction")
    .flatMap(({ params }) => {
      const id = storedKey(parseTransaction(params[0] as Hex).data);
      return id === undefined ? [] : [{ kind: "broadcast", id } as const];
    });
}

/** The id of the key that a transaction with this data stores, if that is what it does. */
export function storedKey(data: Hex | undefined): string | undefined {
  if (data === undefined) return undefined;
  try {
    const call = decodeFunctionData({ abi: promptKeyStoreAbi, data });
    return call.functionName === "storeKey" ? call.args[0].toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}
