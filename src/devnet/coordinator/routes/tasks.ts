import { Hono, type Context as HonoContext } from "hono";
import { claim, isExpired, recordResult, recordVerdict } from "../answers.ts";
import { requireSigner } from "../auth.ts";
import { type Context, now } from "../context.ts";
import { answer, type Env, parseLoose, RequestError, readJsonBody } from "../http.ts";
import { claimSchema, resultSchema, verdictSchema } from "../schemas.ts";
import { findByTask, type Job, seats } from "../state.ts";
import { findByAnyId, requireJob } from "../submission.ts";
import { assignmentView, nodeStatusView } from "../views.ts";

/** Assignments, claim, result, verdict and status: what a node does with a job (PROTOCOL.md 4.3 to 4.8). */
export function taskRoutes(ctx: Context): Hono<Env> {
  const { state, limits } = ctx;
  const app = new Hono<Env>();

  app.get("/internal/assignments/:address", (c) => {
    const signer = c.get("signer");
    requireSigner(signer, c.req.param("address"), "the address in the path");
    const node = state.nodes.get(signer);
    // The original answers with an empty list; 404 is what makes a node attest again (PROTOCOL.md 18).
    if (!node || node.attestedUntil <= now(ctx)) throw new RequestError(404, `node ${signer} is not attested`);
    const assignments = [...state.jobs.values()].flatMap((job) => {
      if (job.status === "pending_store_key" || job.closedAt !== undefined) return [];
      return seats(job)
        .filter((seat) => seat.address === signer && seat.state === "pending" && !isExpired(ctx, seat))
        .map((seat) => assignmentView(job, seat, limits.assignmentLife));
    });
    return answer(c, { assignments });
  });

  app.post("/internal/task/claim", async (c) => {
    const body = parseLoose(claimSchema, await readJsonBody(c, limits.bodyBytes), "Claim");
    const jobId = body.jobId ?? body.job_id;
    if (!jobId || !body.nodeAddress) throw new RequestError(400, "jobId and nodeAddress are required");
    requireSigner(c.get("signer"), body.nodeAddress, "nodeAddress");
    return answer(c, claim(ctx, requireJob(findByTask(state, jobId), jobId), c.get("signer")));
  });

  app.post("/internal/task/result", async (c) => {
    const raw = await readJsonBody(c, limits.bodyBytes);
    const sentId = readJobId(raw);
    const body = parseLoose(resultSchema, raw, "LeaderTextResultSubmission");
    const job = requireJob(findByAnyId(ctx, sentId), sentId);
    const recorded = await recordResult(ctx, job, c.get("signer"), {
      sentId,
      outputCid: body.output_cid,
      commitment: body.commitment_hash,
      keyHigh: body.encrypted_output_key_high,
      keyLow: body.encrypted_output_key_low,
      keyStoreTx: body.output_key_store_tx as `0x${string}` | undefined,
      verdict: body.verdict,
      confidence: body.confidence,
    });
    return answer(c, recorded);
  });

  app.post("/internal/task/verify", async (c) => {
    const raw = await readJsonBody(c, limits.bodyBytes);
    const sentId = readJobId(raw);
    const body = parseLoose(verdictSchema, raw, "VerifierTextVerdictSubmission");
    requireSigner(c.get("signer"), body.verifier_address, "verifier_address");
    const job = requireJob(findByAnyId(ctx, sentId), sentId);
    const recorded = recordVerdict(ctx, job, c.get("signer"), {
      sentId,
      commitment: body.commitment_hash,
      verdict: body.verdict,
      confidence: body.confidence,
    });
    return answer(c, recorded);
  });

  app.get("/internal/jobs/:taskId/status", (c) =>
    answer(c, nodeStatusView(memberJob(ctx, c, c.req.param("taskId")), c.get("signer"))),
  );

  app.get("/internal/jobs/:taskId/escrow", (c) =>
    answer(c, { jobId: memberJob(ctx, c, c.req.param("taskId")).taskId, escrowId: 0 }),
  );

  return app;
}

/** A job's nodes, past ones included, may read it; to everybody else it does not exist (PROTOCOL.md 18, item 9). */
function memberJob(ctx: Context, c: HonoContext<Env>, taskId: string): Job {
  const job = findByTask(ctx.state, taskId);
  const member = job && [...seats(job), ...job.replaced].some(({ address }) => address === c.get("signer"));
  if (!job || !member) throw new RequestError(404, `Job ${taskId.slice(0, 100)} not found`);
  return job;
}

/** Node 0.3.x sends `jobId`, push nodes `job_id` (PROTOCOL.md 4.5). */
function readJobId(body: unknown): string {
  const fields = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const id = fields["jobId"] ?? fields["job_id"];
  if (typeof id !== "string" || id === "") throw new RequestError(400, "jobId is required");
  return id;
}
