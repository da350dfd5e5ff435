import type { Address } from "viem";
import type { Fetch } from "../../src/lib/http.ts";
import type { Coordinator, SimReply, SimRequest } from "./coordinator.ts";
import type { Life } from "./life.ts";
import { excuse, hits, isNoisy, type World } from "./world.ts";

export type NetworkOptions = {
  world: World;
  life: Life;
  lifeNumber: number;
  node: Address;
  name: string;
  coordinator: Coordinator;
  /** Called with every request before it leaves. */
  onRequest(request: SimRequest): void;
};

/** The way from one run of a node to the coordinator and back: it loses, delays, doubles, reorders and garbles. */
export function createFetch(options: NetworkOptions): Fetch {
  const { world, life, node, name, coordinator } = options;
  const { time, plan, trace, facts } = world;
  const prng = world.prng.fork(`network ${name} ${options.lifeNumber}`);
  const { icl } = plan;

  const outage = () =>
    plan.outages.find(({ from, to }) => time.now() >= world.begin + from && time.now() < world.begin + to);

  /** A request with nothing to lose is no interesting moment for a crash. */
  const passes = (path: string, when: string) =>
    !/task|status/.test(path) ? !life.isOver() : life.passes(`${routeOf(path)} ${when}`);

  const arrive = (request: SimRequest): SimReply => {
    if (outage()) throw new Error("nobody is there");
    return coordinator.handle(request);
  };

  return (url, init = {}) => {
    const path = url.replace(/^https?:\/\/[^/]+/, "");
    const headers = init.headers as Record<string, string>;
    const body = typeof init.body === "string" ? init.body : "";
    const request = { method: init.method ?? "GET", path, body, node, signature: headers["X-Signature"] ?? "" };
    if (!passes(path, "leaves")) return new Promise(() => {});
    options.onRequest(request);
    const down = outage();
    const isLost = down || hits(world, prng, icl.drop);
    const isSilent = down ? down.kind === "silent" : prng.chance(0.3);
    const there = hits(world, prng, icl.delay) ? prng.between(500, 40_000) : prng.between(2, 80);
    const back = hits(world, prng, icl.delay) ? prng.between(500, 10_000) : prng.between(2, 80);
    const refusal = drawRefusal(prng.next());
    const isReplyLost = hits(world, prng, icl.dropReply);
    const isGarbled = hits(world, prng, icl.garbage);
    const again = hits(world, prng, icl.duplicate) ? prng.between(100, 20_000) : undefined;

    return life.wait<Response>((resolve, reject) => {
      const unreachable = () => reject(new TypeError("Unable to connect"));
      if (isLost) {
        trace.add(name, `${routeOf(path)} is lost`);
        if (!isSilent) time.after(there, unreachable);
        return;
      }
      // What was sent arrives, even if the sender dies or gives up meanwhile.
      time.after(there, () => {
        const answeredAt = time.now();
        let reply: SimReply;
        try {
          reply = refusal && isNoisy(world) ? refused(refusal, path, body) : arrive(request);
        } catch {
          if (!isSilent) time.after(back, unreachable);
          return;
        }
        if (again !== undefined) time.after(again, () => void tryAgain(request));
        if (!passes(path, "arrived")) return;
        if (!isBoring(path))
          trace.add(
            name,
            `${routeOf(path)} ${idOf(path + body)} → ${reply.status}${isReplyLost ? ", answer lost" : ""}`,
          );
        if (isReplyLost) {
          if (!isSilent) time.after(back, unreachable);
          return;
        }
        time.after(back, () => {
          if (!passes(path, "answered")) return;
          facts.heardAt.set(node, time.now());
          if (!isGarbled) hear(path, reply);
          resolve(response(isGarbled ? garble(prng.int(0, 3), reply) : reply, answeredAt));
        });
      });
    }, init.signal ?? undefined);
  };

  function tryAgain(request: SimRequest): void {
    if (!outage()) coordinator.handle(request);
  }

  function drawRefusal(draw: number): number | undefined {
    const rates = [
      [500, icl.serverError],
      [400, icl.clientError],
      [401, icl.unknown],
    ] as const;
    let rest = draw;
    for (const [status, rate] of rates) {
      rest -= rate;
      if (rest < 0) return status;
    }
    return undefined;
  }

  function refused(status: number, path: string, body: string): SimReply {
    if (status === 400 && path.includes("/task/")) excuse(facts, node, taskIdOf(path + body), "refused");
    if (status === 400 && path.endsWith("/status")) excuse(facts, node, taskIdOf(path), "refused");
    return { status, body: JSON.stringify({ detail: "no" }) };
  }

  function hear(path: string, reply: SimReply): void {
    if (!path.endsWith("/status") || (reply.status !== 200 && reply.status !== 401 && reply.status !== 404)) return;
    const key = `${node} ${taskIdOf(path)}`;
    const heard = facts.statusHeard.get(key) ?? [];
    heard.push({ at: time.now(), outputCid: reply.body.includes('"outputCid":"') });
    facts.statusHeard.set(key, heard);
  }
}

function taskIdOf(text: string): string {
  return /0x[0-9a-f]{64}/.exec(text)?.[0] ?? "";
}

function idOf(text: string): string {
  return taskIdOf(text).slice(0, 8);
}

function routeOf(path: string): string {
  return path.endsWith("/status") ? "status" : (path.split("/").at(path.includes("assignments") ? -2 : -1) ?? path);
}

function isBoring(path: string): boolean {
  return /heartbeat|assignments|challenge|attestation|nodes/.test(path);
}

function garble(kind: number, { status, body }: SimReply): SimReply {
  const bodies = [
    "<html><body>502 Bad Gateway</body></html>",
    body.slice(0, body.length / 2),
    '{"status":[7]}',
    "\xff\0",
  ];
  return { status, body: bodies[kind]! };
}

/** As much of a response as the client reads. The real one delivers its body when it likes. */
function response({ status, body }: SimReply, now: number): Response {
  let rest: Uint8Array | undefined = new TextEncoder().encode(body);
  const next = async () => {
    const value = rest;
    rest = undefined;
    return { value, done: value === undefined };
  };
  const headers = { get: (name: string) => (name === "date" ? new Date(now).toUTCString() : null) };
  return { status, headers, body: { [Symbol.asyncIterator]: () => ({ next }) } } as unknown as Response;
}
