import { createHash, timingSafeEqual } from "node:crypto";
import { rmSync } from "node:fs";
import { Hono } from "hono";
import type { RandomBytes } from "../crypto/random.ts";
import { systemClock } from "../lib/clock.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { Secret } from "../lib/secret.ts";

export type ControlState = { draining: boolean; running: number };

export type ControlOptions = {
  /** Where the address and the token are written down, for this user alone. */
  path: string;
  random: RandomBytes;
  state(): ControlState;
  /** Takes no more jobs, and ends the node when the running ones are done. */
  drain(): void;
};

/** Longest time for the last answers, in milliseconds. */
const lastWordMs = 1000;

export type ControlServer = { stop(): Promise<void> };

/**
 * What may be asked of a running daemon by whoever can read its data directory: `POST /drain`, and `GET /drain` for how far it is. On
 * loopback at a port of its own, so that the status server stays read only and may be turned off. Each request carries the token
 * of the file, which is another one at each start.
 * @throws BlfError `FILE_*`
 */
export function startControlServer({ path, random, state, drain }: ControlOptions): ControlServer {
  const token = new Secret(Buffer.from(random(32)).toString("hex"));
  const expected = digest(`Bearer ${token.reveal()}`);
  const app = new Hono();
  app.use(async (c, next) => {
    c.header("Cache-Control", "no-store");
    // Digests have one length, and take one time to compare whatever was sent.
    if (!timingSafeEqual(digest(c.req.header("Authorization") ?? ""), expected)) return c.text("unauthorized\n", 401);
    return next();
  });
  app.get("/drain", (c) => c.json(state()));
  app.post("/drain", (c) => {
    drain();
    return c.json(state(), 202);
  });
  app.notFound((c) => c.text("not found\n", 404));
  app.onError((_error, c) => c.text("internal error\n", 500));
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch, maxRequestBodySize: 1024 });
  const stop = async () => {
    rmSync(path, { force: true });
    // Whoever asked for the end is told so, but an end that nobody waits for is not put off.
    await Promise.race([server.stop(), systemClock.sleep(lastWordMs)]);
    await server.stop(true);
  };
  try {
    const url = `http://127.0.0.1:${server.port}`;
    writeFileAtomic(path, `${JSON.stringify({ url, token: token.reveal(), pid: process.pid })}\n`);
    return { stop };
  } catch (error) {
    void server.stop(true);
    throw error;
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
