/** A JSON-RPC server that answers every call, alone or in a batch, with what `answer` gives for its method. */
export function rpcServer(answer: (method: string) => unknown) {
  type Call = { id: number; method: string };
  const reply = ({ id, method }: Call) => ({ jsonrpc: "2.0", id, result: answer(method) });
  return serveJson(async (request) => {
    const calls = (await request.json()) as Call | Call[];
    return Response.json(Array.isArray(calls) ? calls.map(reply) : reply(calls));
  });
}

export function serveJson(fetch: (request: Request) => Response | Promise<Response>) {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  return {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port!,
    [Symbol.dispose]: () => void server.stop(true),
  };
}
