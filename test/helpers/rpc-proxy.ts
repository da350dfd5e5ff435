import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type Hex, keccak256 } from "viem";

export type RpcCall = { id: number | string | null; method: string; params: unknown[] };
export type RpcAnswer = { result?: unknown; error?: { code: number; message: string; data?: unknown } };

/** What happens to a call: the answer itself, from `forward()` or made up, or a thrown `HttpFault`. */
export type RpcRule = (call: RpcCall, forward: () => Promise<RpcAnswer>) => RpcAnswer | Promise<RpcAnswer>;

/** Ends the whole HTTP exchange: with a status, or with a connection that breaks off before the answer. */
export class HttpFault extends Error {
  constructor(readonly status: number | "broken") {
    super(`HTTP fault ${status}`);
  }
}

export type RpcProxy = {
  url: string;
  /** Everything that was asked, in order. */
  calls: RpcCall[];
  /** Sets the rule of a method; undefined lets it pass again. */
  rule(method: string, rule: RpcRule | undefined): void;
  stop(): Promise<void>;
};

/** A JSON-RPC proxy on loopback that misbehaves as told. Everything without a rule is passed on unchanged. */
export async function startRpcProxy(target: string): Promise<RpcProxy> {
  const rules = new Map<string, RpcRule>();
  const calls: RpcCall[] = [];
  const forward = async (call: RpcCall): Promise<RpcAnswer> => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...call });
    return (await (await fetch(target, { method: "POST", body })).json()) as RpcAnswer;
  };
  const answer = async (call: RpcCall) => {
    calls.push(call);
    const rule = rules.get(call.method);
    const { result, error } = await (rule ? rule(call, () => forward(call)) : forward(call));
    return { jsonrpc: "2.0", id: call.id, ...(error ? { error } : { result }) };
  };
  const answerAll = async (message: RpcCall | RpcCall[]): Promise<unknown> => {
    if (!Array.isArray(message)) return answer(message);
    const answers: unknown[] = [];
    for (const call of message) answers.push(await answer(call));
    return answers;
  };
  const server = createServer(async (request, response) => {
    try {
      const answers = await answerAll(JSON.parse(await text(request)) as RpcCall | RpcCall[]);
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(answers));
    } catch (fault) {
      if (!(fault instanceof HttpFault) || fault.status === "broken") request.socket.destroy();
      else response.writeHead(fault.status).end("no");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    rule: (method, rule) => void (rule ? rules.set(method, rule) : rules.delete(method)),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The call never arrives. */
export const dropRequest: RpcRule = () => {
  throw new HttpFault("broken");
};

/** The call does its work, but nobody hears of it. */
export const dropReply: RpcRule = async (_call, forward) => {
  await forward();
  throw new HttpFault("broken");
};

export function failWith(status: number): RpcRule {
  return () => {
    throw new HttpFault(status);
  };
}

/** A pool that takes transactions and does not mine them until it is told to. */
export function holdTransactions(proxy: RpcProxy): { held: Hex[]; release(raw: Hex): Promise<RpcAnswer> } {
  const held: Hex[] = [];
  let send: ((raw: Hex) => Promise<RpcAnswer>) | undefined;
  proxy.rule("eth_sendRawTransaction", (call, forward) => {
    const raw = call.params[0] as Hex;
    held.push(raw);
    send ??= (other) => {
      call.params = [other];
      return forward();
    };
    return { result: keccak256(raw) };
  });
  return { held, release: (raw) => send!(raw) };
}
