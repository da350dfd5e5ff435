import { Hono } from "hono";
import { type Address, formatUnits } from "viem";
import type { Context } from "../context.ts";
import { answer, type Env, parseTyped } from "../http.ts";
import { paidRewards } from "../outbox.ts";
import { jobsQuerySchema } from "../schemas.ts";
import { type Job, seats } from "../state.ts";
import { blindNumber, iso, paymentStatus } from "../views.ts";
import { pathAddress } from "./credits.ts";

/** What nodes earned and developers spent (PROTOCOL.md 8). Only closed jobs count, so that nothing shows before its time. */
export function statisticsRoutes(ctx: Context): Hono<Env> {
  const { state } = ctx;
  const app = new Hono<Env>();

  const jobsOf = (node: Address): Job[] =>
    [...state.jobs.values()].filter(
      (job) => job.payment && job.closedAt !== undefined && seats(job).some(({ address }) => address === node),
    );

  app.get("/v1/nodes/:address/jobs", (c) => {
    const node = pathAddress(c.req.param("address"));
    const { limit } = parseTyped(jobsQuerySchema, c.req.query(), "query");
    const jobs = jobsOf(node)
      .reverse()
      .slice(0, limit)
      .map((job) => ({
        job_id: job.payment?.jobId,
        role: job.leader.address === node ? "leader" : "verifier",
        status: paymentStatus(job),
        amount_blind_earned: blindNumber(earned(job, node)),
        model_id: job.modelId,
        completed_at: iso(job.closedAt ?? job.updatedAt),
      }));
    return answer(c, { node_address: node.toLowerCase(), count: jobs.length, jobs });
  });

  app.get("/v1/nodes/:address/earnings", (c) => {
    const node = pathAddress(c.req.param("address"));
    const jobs = jobsOf(node).filter((job) => earned(job, node) > 0n);
    const total = sum(jobs.map((job) => earned(job, node)));
    return answer(c, { total_blind_earned: blindNumber(total), jobs_count: jobs.length });
  });

  app.get("/v1/nodes/:address/exists", (c) =>
    answer(c, { is_operator: state.nodes.has(pathAddress(c.req.param("address"))) }),
  );

  app.get("/v1/nodes/:address/stats", async (c) => {
    const node = pathAddress(c.req.param("address"));
    const jobs = jobsOf(node);
    const stake = await ctx.chain.getStake(node);
    const success = jobs.filter((job) => earned(job, node) > 0n).length;
    const failures = [...state.jobs.values()].filter((job) =>
      job.actions.some(
        ({ kind, address, state: sent }) => kind === "recordFailure" && address === node && sent === "done",
      ),
    );
    return answer(c, {
      total_jobs: jobs.length,
      success,
      failed: jobs.length - success,
      slashed: failures.length,
      slash_count: stake.consecutiveFailures,
      current_stake_blind: fourDecimals(stake.staked),
      total_earned_blind: blindNumber(sum(jobs.map((job) => earned(job, node)))),
    });
  });

  app.get("/v1/developers/:address/stats", (c) => {
    const developer = pathAddress(c.req.param("address"));
    const jobs = [...state.jobs.values()].filter((job) => job.payment && job.developer === developer);
    const count = (status: ReturnType<typeof paymentStatus>) =>
      jobs.filter((job) => paymentStatus(job) === status).length;
    const spent = jobs.flatMap(({ payment }) => (payment && !payment.refunded ? [payment] : []));
    return answer(c, {
      address: developer.toLowerCase(),
      total_jobs: jobs.length,
      completed: count("COMPLETED"),
      failed: count("FAILED"),
      rejected: count("REFUNDED"),
      total_cusdc_spent: sum(spent.map(({ amountCusdc }) => amountCusdc)).toString(),
      total_blind_spent: sum(spent.map(({ amountBlind }) => amountBlind)).toString(),
    });
  });

  return app;
}

function earned(job: Job, node: Address): bigint {
  return paidRewards(job)[node] ?? 0n;
}

function sum(values: bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

/** `"0.0000"`, cut off rather than rounded. */
function fourDecimals(wei: bigint): string {
  return formatUnits(wei / 10n ** 14n, 4).replace(/^(\d+)(?:\.(\d*))?$/, (_all, whole: string, part = "") => {
    return `${whole}.${String(part).padEnd(4, "0")}`;
  });
}
