import { Hono } from "hono";
import { BlfError, errorCode } from "../lib/errors.ts";

export type StatusServerOptions = {
  host: string;
  /** 0 lets the system choose. */
  port: number;
  /** The JSON of `/status`; must hold nothing secret. */
  report(): { ready: boolean; problems: string[] };
  /** Prometheus text. */
  metrics(): Promise<string>;
};

export type StatusServer = { url: string; stop(): Promise<void> };

/**
 * Health and figures for the operator, on loopback only, read only:
 * `/livez` the process works · `/readyz` it can earn (503 with the reasons) · `/status` · `/metrics`.
 * @throws BlfError `STATUS_PORT_TAKEN`
 */
export function startStatusServer(options: StatusServerOptions): StatusServer {
  const app = new Hono();
  app.use(async (c, next) => {
    // A web page that resolves its own name to 127.0.0.1 must not read this (DNS rebinding).
    const host = new URL(c.req.url).hostname.replace(/^\[|\]$/g, "");
    if (host !== "127.0.0.1" && host !== "localhost" && host !== "::1") return c.text("forbidden\n", 403);
    await next();
    c.header("Cache-Control", "no-store");
    c.header("X-Content-Type-Options", "nosniff");
  });
  app.get("/livez", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => {
    const { ready, problems } = options.report();
    const lines = ready ? ["ok"] : c.req.query("verbose") !== undefined ? problems : ["not ready"];
    return c.text(`${lines.join("\n")}\n`, ready ? 200 : 503);
  });
  app.get("/status", (c) => c.json(options.report()));
  app.get("/metrics", async (c) =>
    c.text(await options.metrics(), 200, { "Content-Type": "text/plain; version=0.0.4" }),
  );
  app.notFound((c) => c.text("not found\n", 404));
  app.onError((_error, c) => c.text("internal error\n", 500));
  try {
    const server = Bun.serve({
      hostname: options.host,
      port: options.port,
      fetch: app.fetch,
      maxRequestBodySize: 1024,
    });
    return { url: `http://${options.host}:${server.port}`, stop: () => server.stop(true) };
  } catch (error) {
    throw new BlfError({
      code: "STATUS_PORT_TAKEN",
      message: `The status server cannot listen on ${options.host}:${options.port} (${errorCode(error)})`,
      hint: "Choose another status_port (BLF_STATUS_PORT), or 0 to turn it off.",
      cause: error,
    });
  }
}
