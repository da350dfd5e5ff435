export type ModelServices = {
  url: string;
  stop(): Promise<void>;
};

/** A page that holds everything of a request: its line, its headers with the key, and its body with the prompt. */
export function echo(request: Request, body: string, status: number): Response {
  const lines = [
    `${request.method} ${request.url}`,
    ...[...request.headers].map(([name, value]) => `${name}: ${value}`),
  ];
  return Response.json(
    { error: { message: `${lines.join("\n")}\n\n${body}`, code: "echo", type: "echo" } },
    { status },
  );
}

/**
 * One server that speaks like vLLM, Groq and Gemini, and says `output` to every prompt. What asks for it is refused with a page that
 * holds all that was sent.
 */
export function startModelServices(output: (prompt: string) => string): ModelServices {
  const usage = { prompt_tokens: 1, completion_tokens: 1 };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      if (pathname === "/version") return Response.json({ version: "1.0" });
      if (pathname.endsWith("/v1/models")) return Response.json({ data: [{ id: "canary" }] });
      if (request.method === "GET") return Response.json({ name: "models/canary" });
      if (body.includes("please refuse")) return echo(request, body, 400);
      const sent = JSON.parse(body) as Sent;
      if (pathname.endsWith("/completions") && sent.prompt !== undefined)
        return Response.json({
          model: "canary",
          choices: [{ text: output(sent.prompt), finish_reason: "stop" }],
          usage,
        });
      if (sent.messages) {
        const content = output(sent.messages.at(-1)!.content);
        return Response.json({ model: "canary", choices: [{ message: { content }, finish_reason: "stop" }], usage });
      }
      const text = output(sent.contents![0]!.parts[0]!.text);
      return Response.json({ candidates: [{ content: { parts: [{ text }] }, finishReason: "STOP" }] });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    stop: () => server.stop(true),
  };
}

type Sent = {
  prompt?: string;
  messages?: { content: string }[];
  contents?: { parts: { text: string }[] }[];
};
