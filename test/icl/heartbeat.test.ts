import { expect, test } from "bun:test";
import { join } from "node:path";

/** Bun's `fetch` makes at most so many connections at once, to whichever hosts. */
const mostConnections = 256;

/** Runs in a process of its own, since it takes all connections that the process has. */
async function inChild(script: string): Promise<string> {
  const child = Bun.spawn([process.execPath, "-e", script], {
    cwd: join(import.meta.dir, "../.."),
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return text.trim();
}

/** Prints how many of five heartbeats arrive; gives up on the first that takes longer than `patienceMs`. */
const script = (heartbeatFetch: string, patienceMs: number) => `
  import { privateKeyToAccount } from "viem/accounts";
  import { createIclClient } from "./src/icl/client.ts";
  import { systemClock } from "./src/lib/clock.ts";
  import { createLogger } from "./src/lib/log.ts";
  import { createOwnFetch } from "./src/lib/direct-fetch.ts";
  let hanging = 0;
  const allHang = Promise.withResolvers();
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 60, fetch: (request) => {
    if (new URL(request.url).pathname === "/internal/heartbeat") return Response.json({ status: "ok" });
    if (++hanging === ${mostConnections}) allHang.resolve();
    return new Promise(() => {});
  } });
  const log = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });
  const signer = privateKeyToAccount("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
  const icl = createIclClient({ baseUrl: "http://127.0.0.1:" + server.port, signer, fetch, clock: systemClock, log,
    heartbeatFetch: ${heartbeatFetch} });
  for (let count = 0; count < ${mostConnections + 20}; count++) icl.assignments().catch(() => {});
  await allHang.promise;
  let arrived = 0;
  for (let count = 0; count < 5; count++) {
    const late = Bun.sleep(${patienceMs}).then(() => "late");
    if ((await Promise.race([icl.heartbeat(), late])) !== "late") arrived++;
    else break;
  }
  console.log(arrived);
  process.exit(0);
`;

test("heartbeats arrive while every other request hangs and takes a connection", async () => {
  expect(await inChild(script("createOwnFetch(fetch)", 30_000))).toBe("5");
});

test("which they would not over connections that they share", async () => {
  // What must not arrive can only be seen by waiting.
  expect(await inChild(script("fetch", 1000))).toBe("0");
});
