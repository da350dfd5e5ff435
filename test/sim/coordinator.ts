import type { Address } from "viem";
import { stringifyJson } from "../../src/lib/json.ts";
import type { SimCofhe } from "./cofhe.ts";
import { createPromptMarket, type SimJob, type SimSeat } from "./jobs.ts";
import type { SimStorage } from "./storage.ts";
import { excuse, isNoisy, type World } from "./world.ts";

export type SimRequest = { method: string; path: string; body: string; node: Address; signature: string };
export type SimReply = { status: number; body: string };

/** A model of the coordinator (PROTOCOL.md 4): it claims, waits, gives seats to others, forgets, and never lies about what it recorded. */
export type Coordinator = {
  handle(request: SimRequest): SimReply;
  /** Another installation sends a heartbeat with the key of this node. */
  impersonate(node: Address): void;
  /** Those that it remembers. */
  jobs: Map<string, SimJob>;
  /** All that there ever were. */
  bought: readonly SimJob[];
};

const certificateLife = 86_400;

export function createCoordinator(
  world: World,
  nodes: readonly Address[],
  parts: { cofhe: SimCofhe; storage: SimStorage },
): Coordinator {
  const { time, plan, facts, trace } = world;
  const prng = world.prng.fork("coordinator");
  const attested = new Set<Address>();
  const heardOf = new Map<Address, number>();
  const signatures = new Set<string>();
  const lists = new Map<Address, { until: number; body: string }>();
  const market = createPromptMarket(world, nodes, parts);
  const { jobs } = market;
  const seconds = () => Math.floor(time.now() / 1000);
  const ok = (body: unknown): SimReply => ({ status: 200, body: stringifyJson(body) });
  const refuse = (status: number, detail: string): SimReply => ({ status, body: JSON.stringify({ detail }) });

  for (const { at, loses } of plan.restarts)
    time.after(at, () => {
      trace.add("icl", `restarts and forgets ${loses}`);
      lists.clear();
      signatures.clear();
      attested.clear();
      facts.foreignHeard.clear();
      if (loses === "claims") market.forgetClaims();
      if (loses === "jobs") market.forgetJobs();
    });

  const offer = (job: SimJob, seat: SimSeat) => ({
    jobId: job.taskId,
    role: seat.role,
    modelId: job.modelId,
    promptCid: job.promptCid,
    deadline: seconds() + 600,
    insuranceOptIn: false,
    userAddress: job.userAddress,
    kpHighHandle: String(job.handles.high),
    kpLowHandle: String(job.handles.low),
    permit: null,
  });

  const assignments = (node: Address): SimReply => {
    const cached = lists.get(node);
    if (cached && cached.until > time.now()) return { status: 200, body: cached.body };
    const again = isNoisy(world) && prng.chance(plan.duplicateOffers);
    const offers = [...jobs.values()].flatMap((job) =>
      job.seats
        .filter(
          (seat) => seat.node === node && !job.isOver && (seat.state === "offered" || (again && seat.state !== "lost")),
        )
        .flatMap((seat) => (again ? [offer(job, seat), offer(job, seat)] : [offer(job, seat)])),
    );
    const body = stringifyJson({ assignments: again ? [{ jobId: "../x" }, ...offers, 7] : offers });
    lists.set(node, { until: time.now() + plan.listCacheMs, body });
    return { status: 200, body };
  };

  const claim = (node: Address, taskId: string): SimReply => {
    const job = jobs.get(taskId);
    const seat = job?.seats.find((one) => one.node === node && one.state !== "lost");
    if (!job || !seat || job.isOver) {
      excuse(facts, node, taskId, plan.isStrict ? "refused" : "no handles");
      if (plan.isStrict) return refuse(job ? 409 : 404, "this node has no seat in this task");
      return ok({ kpHighHandle: 0, kpLowHandle: 0, outputKeyGranted: true, claimDeadline: seconds() + 300 });
    }
    market.claim(job, seat);
    const { high, low } = job.handles;
    return ok({ kpHighHandle: high, kpLowHandle: low, outputKeyGranted: true, claimDeadline: seat.deadline });
  };

  const answer = (node: Address, role: "leader" | "verifier", body: Record<string, unknown>): SimReply => {
    const taskId = String(body["jobId"]);
    const commitment = String(body["commitment_hash"]);
    const job = jobs.get(taskId);
    if (!job) {
      excuse(facts, node, taskId, "refused");
      return refuse(404, `'inference request ${taskId} not found'`);
    }
    const seat = job.seats.find((one) => one.node === node && one.role === role);
    if (!seat || (seat.state === "lost" && plan.isStrict)) {
      excuse(facts, node, taskId, "refused");
      return refuse(409, "this task was given to another node");
    }
    if (seat.answer && seat.answer !== commitment) {
      facts.violations.push(`${node} answered ${role} ${taskId} with two commitments`);
      return refuse(409, "a different result was already recorded for this task");
    }
    market.answer(job, seat, commitment, role === "leader" ? body : undefined);
    return ok({ status: role === "leader" ? "leader_result_recorded" : "verifier_verdict_recorded", finalized: false });
  };

  const status = (taskId: string): SimReply => {
    const job = jobs.get(taskId);
    if (!job) return refuse(404, `Job ${taskId} not found`);
    const { outputCid = null, commitment = null } = job.result ?? {};
    const word = outputCid ? "ACCEPTED" : job.isOver ? "TIMEDOUT" : "QUEUED";
    return ok({ jobId: taskId, status: word, outputCid, leaderCommitment: commitment });
  };

  return {
    jobs,
    bought: market.bought,
    impersonate: (node) => {
      attested.add(node);
      heardOf.set(node, seconds());
    },
    handle: ({ method, path, body, node, signature }) => {
      if (method === "POST") {
        if (signatures.has(signature)) return refuse(401, "this request was seen before");
        signatures.add(signature);
      }
      const fields = (body === "" ? {} : JSON.parse(body)) as Record<string, unknown>;
      const [, first, second, third, fourth] = path.split("/");
      switch (method === "GET" ? (second === "jobs" ? fourth : second) : third) {
        case "challenge":
          return ok({ challengeId: prng.hex(8), nonce: prng.hex(32), expiresAt: seconds() + 300 });
        case "verify":
          if (second === "task") return answer(node, "verifier", fields);
          attested.add(node);
          heardOf.set(node, seconds());
          return ok({ certHash: prng.hex(16), expiry: seconds() + certificateLife, tier: 0 });
        case "assignments":
          if (!attested.has(node) && plan.isStrict) return refuse(404, `node ${node} is not attested`);
          return attested.has(node) ? assignments(node) : ok({ assignments: [] });
        case "claim":
          return claim(node, String(fields["jobId"]));
        case "result":
          return answer(node, "leader", fields);
        case "status":
          return status(third!);
        case "nodes":
          return ok(
            [...attested].map((operator_address) => {
              return { operator_address, metrics: { last_heartbeat: heardOf.get(operator_address) } };
            }),
          );
        case undefined:
          if (second !== "heartbeat") return refuse(404, `no route ${first}`);
          heardOf.set(node, seconds());
          return ok({ status: "ok" });
        default:
          return refuse(404, `no route ${path}`);
      }
    },
  };
}
