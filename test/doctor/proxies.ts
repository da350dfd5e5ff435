import { type Abi, decodeFunctionData, encodeFunctionResult, type Hex } from "viem";
import { type RpcProxy, type RpcRule, startRpcProxy } from "../helpers/rpc-proxy.ts";

type Rewrite = (body: unknown, headers: Headers) => unknown;

/** A coordinator whose answer to the question for the active nodes is changed on its way. */
export function coordinatorProxy(target: string, rewrite: Rewrite) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const response = await fetch(`${target}${pathname}${search}`).catch(() => undefined);
      if (!response) return new Response(null, { status: 502 });
      const headers = new Headers({ "Content-Type": "application/json", Date: response.headers.get("Date")! });
      const body = rewrite(await response.json(), headers);
      return new Response(JSON.stringify(body), { headers });
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

/** An RPC that answers one method in a way of its own. */
export async function rpcWith(target: string, method: string, rule: RpcRule): Promise<RpcProxy> {
  const proxy = await startRpcProxy(target);
  proxy.rule(method, rule);
  return proxy;
}

/** Changes what one function of a contract returns. */
export function rewriteCall(abi: Abi, functionName: string, change: (result: never) => unknown): RpcRule {
  return async (call, forward) => {
    const { data } = call.params[0] as { data: Hex };
    const name = tryDecode(abi, data);
    const answer = await forward();
    if (name !== functionName || typeof answer.result !== "string") return answer;
    const { decodeFunctionResult } = await import("viem");
    const result = decodeFunctionResult({ abi, functionName, data: answer.result as Hex }) as never;
    return { result: encodeFunctionResult({ abi, functionName, result: change(result) } as never) };
  };
}

function tryDecode(abi: Abi, data: Hex): string | undefined {
  try {
    return decodeFunctionData({ abi, data }).functionName;
  } catch {
    return undefined;
  }
}
