import type { Address } from "viem";
import type { SimCofhe } from "./cofhe.ts";
import type { SimStorage } from "./storage.ts";
import { sealNow } from "./subtle.ts";
import type { World } from "./world.ts";

export type SimSeat = {
  node: Address;
  role: "leader" | "verifier";
  /** `lost`: it did not answer in time. */
  state: "offered" | "claimed" | "answered" | "lost";
  /** Unix seconds. */
  deadline: number;
  answer: string | undefined;
  /** Milliseconds since the epoch. */
  offeredAt: number;
};

export type SimJob = {
  taskId: string;
  modelId: string;
  promptCid: string;
  prompt: string;
  userAddress: Address;
  handles: { high: bigint; low: bigint };
  seats: SimSeat[];
  result: { outputCid: string; commitment: string; at: number; body: Record<string, unknown> } | undefined;
  canReassign: boolean;
  isOver: boolean;
  /** The coordinator knows it no more. */
  isForgotten: boolean;
};

/** A prompt holds this, an output too: neither may ever be seen in a log. */
export const canary = "CANARY";
export const modelId = "mock-sim";

/** Jobs as the coordinator keeps them: bought at the times of the plan, claimed, answered, and given to others when a claim runs out. */
export function createPromptMarket(
  world: World,
  nodes: readonly Address[],
  { cofhe, storage }: { cofhe: SimCofhe; storage: SimStorage },
) {
  const { time, plan, trace } = world;
  const prng = world.prng.fork("jobs");
  const jobs = new Map<string, SimJob>();
  const bought: SimJob[] = [];

  const seat = (node: Address, role: SimSeat["role"]): SimSeat => ({
    node,
    role,
    state: "offered",
    deadline: 0,
    answer: undefined,
    offeredAt: time.now(),
  });

  const buy = (canReassign: boolean): void => {
    const taskId = prng.hex(32);
    const prompt = `${canary} prompt ${prng.hex(8)}`;
    const key = prng.bytes(32);
    const order = [...nodes].sort(() => prng.next() - 0.5);
    const seats = order
      .slice(0, prng.int(1, order.length))
      .map((node, index) => seat(node, index === 0 ? "leader" : "verifier"));
    const job: SimJob = {
      taskId,
      modelId,
      prompt,
      promptCid: storage.put(sealNow(key, new TextEncoder().encode(prompt), prng.bytes(12))),
      userAddress: prng.hex(20) as Address,
      // A node that takes the place of another gets access as well.
      handles: cofhe.grant(key, new Set(nodes)),
      seats,
      result: undefined,
      canReassign,
      isOver: false,
      isForgotten: false,
    };
    jobs.set(taskId, job);
    bought.push(job);
    trace.add("user", `buys ${taskId.slice(0, 8)} of ${seats.length} nodes`);
  };
  for (const { at, canReassign } of plan.jobs) time.after(at, () => buy(canReassign));

  const runOut = (job: SimJob, lost: SimSeat, deadline: number): void => {
    if (lost.state !== "claimed" || lost.deadline !== deadline) return;
    lost.state = "lost";
    trace.add("icl", `${lost.role} of ${job.taskId.slice(0, 8)} gave no answer in time`);
    const successor = nodes.find((node) => job.seats.every((one) => one.node !== node));
    if (!job.canReassign || !successor) {
      if (lost.role === "leader") job.isOver = true;
      return;
    }
    job.seats.push(seat(successor, lost.role));
  };

  return {
    jobs,
    bought,
    claim: (job: SimJob, claimed: SimSeat): void => {
      // The public coordinator counts a repeated claim from its own time on.
      if (claimed.state === "offered" || !plan.isStrict)
        claimed.deadline = Math.floor(time.now() / 1000) + plan.claimWindowSeconds;
      if (claimed.state === "offered") claimed.state = "claimed";
      const { deadline } = claimed;
      time.after(deadline * 1000 - time.now() + 1000, () => runOut(job, claimed, deadline));
    },
    answer: (job: SimJob, by: SimSeat, commitment: string, result: Record<string, unknown> | undefined): void => {
      by.answer = commitment;
      if (by.state !== "lost") by.state = "answered";
      if (result && !job.result)
        job.result = { outputCid: String(result["output_cid"]), commitment, at: time.now(), body: result };
    },
    forgetClaims: (): void => {
      for (const job of jobs.values()) for (const one of job.seats) if (one.state === "claimed") one.state = "offered";
    },
    forgetJobs: (): void => {
      for (const job of jobs.values()) job.isForgotten = true;
      jobs.clear();
    },
  };
}
