import { createPrng } from "../sim/prng.ts";

/**
 * A coordinator that has no work: it answers polls without assignments, and is sometimes out of order. Lives in a process of its own, so that
 * its memory is not the node's. Prints its URL; `GET /counts` tells what it was asked.
 */
const prng = createPrng(`week ${process.argv[2] ?? "1"}`);
/** Share of the requests that go wrong, and how often it does not know the node any more, so that the node attests again. */
const faultRate = 0.05;
const forgetRate = 0.0005;

const counts = { polls: 0, heartbeats: 0, attestations: 0, faults: 0 };
const json = (body: unknown, date: Date, status = 200) =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/json", Date: date.toUTCString() },
  });

function answer(path: string, node: string, seconds: number): Response {
  // It lives in the node's time, which flies.
  const date = new Date(seconds * 1000);
  if (path.startsWith("/internal/assignments/"))
    return prng.chance(forgetRate) ? json({ detail: "Node not found" }, date, 404) : json({ assignments: [] }, date);
  if (path === "/internal/heartbeat") return json({ status: "ok" }, date);
  if (path.startsWith("/internal/challenge/"))
    return json({ challengeId: prng.hex(16), nonce: prng.hex(32), expiresAt: seconds + 300 }, date);
  if (path === "/internal/attestation/verify")
    return json({ certHash: prng.hex(16), expiry: seconds + 86_400, tier: 0 }, date);
  if (path === "/v1/nodes/active") return json([{ operator_address: node, metrics: { last_heartbeat: 0 } }], date);
  return json({ detail: "Not Found" }, date, 404);
}

function broken(date: Date): Response {
  const kind = prng.int(0, 3);
  if (kind === 0) return json({ detail: "Internal server error" }, date, 500);
  if (kind === 1) return json({ detail: "too many requests" }, date, 429);
  if (kind === 2) return json({ assignments: "none" }, date);
  return new Response(prng.bytes(prng.int(1, 2000)) as Uint8Array<ArrayBuffer>);
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: async (request) => {
    const path = new URL(request.url).pathname;
    if (path === "/counts") return Response.json(counts);
    await request.arrayBuffer();
    if (path.startsWith("/internal/assignments/")) counts.polls++;
    if (path === "/internal/heartbeat") counts.heartbeats++;
    if (path === "/internal/attestation/verify") counts.attestations++;
    const seconds = Number(request.headers.get("x-timestamp"));
    if (prng.chance(faultRate)) {
      counts.faults++;
      return broken(new Date(seconds * 1000));
    }
    return answer(path, request.headers.get("x-node-address") ?? "", seconds);
  },
});
console.log(JSON.stringify({ url: `http://127.0.0.1:${server.port}` }));
