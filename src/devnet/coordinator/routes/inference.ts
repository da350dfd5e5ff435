import { Hono } from "hono";
import { keccak256, stringToBytes } from "viem";
import type * as z from "zod";
import { errorCode } from "../../../lib/errors.ts";
import { stringifyJson } from "../../../lib/json.ts";
import type { Context } from "../context.ts";
import { answer, type Env, parseTyped, RequestError, readBody, readJsonBody } from "../http.ts";
import { chooseQuorum } from "../quorum.ts";
import {
  confirmStoreKeySchema,
  directRequestSchema,
  feedbackSchema,
  keyStoreTxSchema,
  previewSchema,
} from "../schemas.ts";
import { findByTask, type Job } from "../state.ts";
import { confirmStoredKey, createJob, requireJob, submitOnce } from "../submission.ts";
import { requestView } from "../views.ts";

/** What a requester asks of the ICL (PROTOCOL.md 5). */
export function inferenceRoutes(ctx: Context): Hono<Env> {
  const { state, limits } = ctx;
  const app = new Hono<Env>();
  const byRequest = (id: string): Job => requireJob(state.jobs.get(id), id);

  app.post("/v1/inference/upload-prompt", async (c) => {
    const bytes = await readBody(c, limits.uploadBytes);
    const file = await readUpload(bytes, c.req.header("content-type") ?? "");
    if (file.length === 0) throw new RequestError(400, "Uploaded prompt payload is empty");
    try {
      return answer(c, { cid: await ctx.blobs.put(file) });
    } catch (error) {
      ctx.log.error("a prompt could not be stored", { code: errorCode(error), bytes: file.length });
      throw new RequestError(502, "Prompt upload failed: the blob store does not take it");
    }
  });

  app.get("/v1/inference/quorum-preview", async (c) => {
    const query = parseTyped(previewSchema, c.req.query(), "query");
    const criteria = { modelId: query.model_id, minTier: query.min_tier, zdrRequired: query.zdr_required };
    return answer(c, await chooseQuorum(ctx, criteria, query.verifier_count));
  });

  app.post("/v1/inference/requests", async (c) => {
    const body = parseTyped(directRequestSchema, await readJsonBody(c, limits.bodyBytes), "body");
    const text = body.text_request;
    if (!text) throw new RequestError(400, "only text-mode requests are supported: text_request is required");
    if (body.mode !== undefined && body.mode !== "text")
      throw new RequestError(400, `mode '${body.mode.slice(0, 40)}' is not supported, only 'text'`);
    const modelId = text.model_id ?? body.model_id;
    if (!modelId) throw new RequestError(400, "text_request.model_id is required");
    const taskId = body.task_id ?? makeTaskId(ctx, body);
    const { prompt_key_store_tx } = parseTyped(keyStoreTxSchema, body.metadata, "body");
    const job = await submitOnce(ctx, { taskId, developer: body.developer_address, paid: false }, () =>
      createJob(
        ctx,
        {
          taskId,
          developer: body.developer_address,
          modelId,
          promptCid: text.prompt_cid,
          minTier: body.min_tier,
          zdrRequired: body.zdr_required,
          verifierCount: body.verifier_count,
          keyStoreTx: prompt_key_store_tx as `0x${string}` | undefined,
          leader: body.leader_address,
          verifiers: body.verifier_addresses,
        },
        undefined,
      ),
    );
    return answer(c, requestView(job, true));
  });

  app.get("/v1/inference/task/:taskId", (c) => {
    const taskId = c.req.param("taskId");
    return answer(c, requestView(requireJob(findByTask(state, taskId), taskId), false));
  });

  app.get("/v1/inference/:requestId", (c) => answer(c, requestView(byRequest(c.req.param("requestId")), true)));

  app.post("/v1/inference/:requestId/confirm-store-key", async (c) => {
    const job = byRequest(c.req.param("requestId"));
    const body = parseTyped(confirmStoreKeySchema, await readJsonBody(c, limits.bodyBytes), "body");
    await confirmStoredKey(ctx, job, body.prompt_key_store_tx as `0x${string}`);
    return answer(c, requestView(job, true));
  });

  app.post("/v1/inference/:requestId/feedback", async (c) => {
    const job = state.jobs.get(c.req.param("requestId"));
    if (!job) throw new RequestError(404, "Request not found");
    const body = parseTyped(feedbackSchema, await readJsonBody(c, limits.bodyBytes), "body");
    if (body.developer_address !== job.developer)
      throw new RequestError(403, "only the developer of a job can rate it");
    if (job.status !== "accepted") throw new RequestError(400, "Feedback can only be submitted for accepted jobs");
    if (job.feedback) throw new RequestError(400, "Feedback already submitted for this job");
    job.feedback = { rating: body.rating, notes: body.notes };
    return answer(c, { status: "ok", request_id: job.requestId, rating: body.rating });
  });

  return app;
}

/** The multipart field `file`. */
async function readUpload(bytes: Uint8Array, contentType: string): Promise<Uint8Array> {
  const missing = [{ type: "missing", loc: ["body", "file"], msg: "Field required", input: null }];
  const form = await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { "Content-Type": contentType } })
    .formData()
    .catch(() => undefined);
  const file = form?.get("file");
  if (!(file instanceof Blob)) throw new RequestError(422, missing);
  return new Uint8Array(await file.arrayBuffer());
}

/** The original's rule for requests without a task_id (PROTOCOL.md 1): 64 hex digits without `0x`. */
function makeTaskId(ctx: Context, body: z.output<typeof directRequestSchema>): string {
  const fingerprint = stringifyJson({
    encrypted_prompt_key: {
      high: body.text_request?.encrypted_prompt_key.high,
      low: body.text_request?.encrypted_prompt_key.low,
    },
    model_id: body.text_request?.model_id ?? body.model_id,
    prompt_cid: body.text_request?.prompt_cid,
  });
  const time = new Date(ctx.clock.now()).toISOString();
  return keccak256(stringToBytes(`${body.developer_address}:${fingerprint}:${time}`)).slice(2);
}
