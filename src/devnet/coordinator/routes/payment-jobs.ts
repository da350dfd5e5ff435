import { createHash, timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import type { Hash } from "viem";
import type * as z from "zod";
import { charge, priceOf, uncharge } from "../accounts.ts";
import { type Context, uuid } from "../context.ts";
import { answer, type Env, parseTyped, RequestError, readJsonBody } from "../http.ts";
import { fail } from "../lifecycle.ts";
import { completionSchema, keyStoreTxSchema, submitSchema } from "../schemas.ts";
import { findByTask, type Job } from "../state.ts";
import { createJob, submitOnce } from "../submission.ts";
import { paymentJobView, paymentStatus } from "../views.ts";

/** Header with which one of our own services proves what it is. */
const serviceSecretHeader = "x-service-secret";

/** Submission and state of paid jobs (PROTOCOL.md 8). */
export function paymentJobRoutes(ctx: Context): Hono<Env> {
  const { limits } = ctx;
  const app = new Hono<Env>();

  app.post("/v1/jobs/submit", async (c) => {
    const job = await submit(ctx, parseTyped(submitSchema, await readJsonBody(c, limits.bodyBytes), "body"));
    return answer(c, {
      job_id: job.payment?.jobId,
      status: paymentStatus(job),
      escrow_id: null,
      coverage_id: null,
    });
  });

  app.get("/v1/jobs/:id", (c) => {
    const id = c.req.param("id");
    const job = findPaid(ctx, id);
    // The job_id is known to the requester alone, the task_id to every node (see `requestView`).
    return answer(c, paymentJobView(job, id === job.payment?.jobId));
  });

  app.post("/v1/jobs/:id/complete", async (c) => {
    requireSecret(ctx, c.req.header(serviceSecretHeader));
    const job = findPaid(ctx, c.req.param("id"));
    const body = parseTyped(completionSchema, await readJsonBody(c, limits.bodyBytes), "body");
    const final = job.status === "accepted" || job.status === "rejected" || job.status === "failed";
    // Rewards follow the votes alone; whoever holds the secret can end a running job, but not invent a result.
    if (!final && body.status === "success")
      throw new RequestError(409, "the quorum has not accepted a result of this job");
    if (!final)
      fail(ctx, job, body.error_reason ?? body.status, { status: body.status === "rejected" ? "rejected" : "failed" });
    return answer(c, {
      ...paymentJobView(job, true),
      ...(final ? { note: "already_finalized" } : {}),
    });
  });

  return app;
}

async function submit(ctx: Context, body: z.output<typeof submitSchema>): Promise<Job> {
  if (body.payment_mode === "escrow")
    throw new RequestError(400, "payment_mode 'escrow' is not offered by this network, use 'credits'");
  if (body.insurance_opt_in) throw new RequestError(400, "insurance is not offered by this network");
  const { prompt_key_store_tx } = parseTyped(keyStoreTxSchema, body.metadata, "body");
  const request = {
    taskId: body.task_id,
    developer: body.user_address,
    modelId: body.model_id,
    promptCid: body.prompt_cid,
    minTier: body.min_tier,
    zdrRequired: body.zdr_required,
    verifierCount: body.verifier_count,
    keyStoreTx: prompt_key_store_tx as Hash | undefined,
    leader: undefined,
    verifiers: [],
  };
  const price = priceOf(body.model_id, body.payment_currency);
  return submitOnce(ctx, { ...request, paid: true }, async () => {
    charge(ctx.state, request.developer, price);
    try {
      const payment = { jobId: uuid(ctx.random), currency: body.payment_currency, ...price, refunded: false };
      return await createJob(ctx, request, payment);
    } catch (error) {
      uncharge(ctx.state, request.developer, price);
      throw error;
    }
  });
}

function findPaid(ctx: Context, id: string): Job {
  const byPayment = [...ctx.state.jobs.values()].find((job) => job.payment?.jobId === id);
  const job = byPayment ?? findByTask(ctx.state, id);
  if (!job?.payment) throw new RequestError(404, `Job ${id.slice(0, 100)} not found`);
  return job;
}

function requireSecret(ctx: Context, given: string | undefined): void {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  if (!given || !timingSafeEqual(digest(given), digest(ctx.serviceSecret)))
    throw new RequestError(401, "this route is for the network's own services");
}
