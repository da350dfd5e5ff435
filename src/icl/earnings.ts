import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { BlfError } from "../lib/errors.ts";
import { type Fetch, type HttpResponse, type HttpService, httpRequest } from "../lib/http.ts";
import { assertUniqueKeys } from "../lib/json.ts";

z.config(en());

/** A job that the payment service has closed, as it concerns one node. */
export type PaidJob = {
  /** The payment service's own id; not the task_id. */
  jobId: string;
  role: string;
  status: string;
  /** Wei of BLIND. */
  earned: bigint;
  modelId: string;
  /** Milliseconds since the epoch; undefined when it is not known. */
  completedAt: number | undefined;
};

/** What the payment service tells about a node's income (PROTOCOL.md 8). It asks for no authentication. */
export type EarningsClient = {
  /** The newest jobs first, at most 100. */
  jobs(node: string, limit: number): Promise<PaidJob[]>;
  earnings(node: string): Promise<{ total: bigint; jobs: number }>;
  /** Both ids of a job by either of them; undefined when the service does not know it. */
  ids(id: string): Promise<{ jobId: string; taskId: string | undefined } | undefined>;
};

export type EarningsOptions = {
  baseUrl: string;
  fetch: Fetch;
  /** For each request, in milliseconds. */
  timeoutMs?: number;
};

const service: HttpService = {
  prefix: "PAYMENT",
  name: "The payment service",
  hint: "Check payment_service_url (BLF_PAYMENT_SERVICE_URL) and the network, and try again.",
};
const maxBytes = 1024 * 1024;

const shortText = z.string().check(z.maxLength(300));
/** A JSON number that is kept as the text it came in, since a double cannot hold 18 decimals. */
const amount = z.string().check(z.regex(/^\d{1,40}(\.\d{1,60})?(e[+-]?\d{1,2})?$/i));
const jobsSchema = z.object({
  jobs: z.array(
    z.object({
      job_id: shortText,
      role: shortText,
      status: shortText,
      amount_blind_earned: amount,
      model_id: shortText,
      completed_at: z.nullish(shortText),
    }),
  ),
});
const earningsSchema = z.object({ total_blind_earned: amount, jobs_count: z.int().check(z.gte(0)) });
const idsSchema = z.object({ job_id: shortText, task_id: z.nullish(shortText) });

/** @throws BlfError `PAYMENT_*` from every method of the result */
export function createEarningsClient(options: EarningsOptions): EarningsClient {
  const get = async <S extends z.ZodMiniType>(path: string, schema: S): Promise<z.output<S> | undefined> => {
    if (options.baseUrl === "") throw notConfigured();
    const request = { timeoutMs: options.timeoutMs ?? 5000, maxBytes };
    const response = await httpRequest(options.fetch, service, options.baseUrl + path, request);
    if (response.status === 404) return undefined;
    if (response.status < 200 || response.status >= 300) throw refused(response.status);
    const result = schema.safeParse(readAmounts(response));
    if (result.success) return result.data;
    throw unexpected(result.error.issues[0]?.path.join("."));
  };
  const known = <T>(value: T | undefined): T => {
    if (value === undefined) throw refused(404);
    return value;
  };
  return {
    jobs: async (node, limit) => {
      const { jobs } = known(await get(`/v1/nodes/${encodeURIComponent(node)}/jobs?limit=${limit}`, jobsSchema));
      return jobs.map((job) => ({
        jobId: job.job_id,
        role: job.role,
        status: job.status,
        earned: blindToWei(job.amount_blind_earned),
        modelId: job.model_id,
        completedAt: parseTime(job.completed_at),
      }));
    },
    earnings: async (node) => {
      const answer = known(await get(`/v1/nodes/${encodeURIComponent(node)}/earnings`, earningsSchema));
      return { total: blindToWei(answer.total_blind_earned), jobs: answer.jobs_count };
    },
    ids: async (id) => {
      const answer = await get(`/v1/jobs/${encodeURIComponent(id)}`, idsSchema);
      return answer && { jobId: answer.job_id, taskId: answer.task_id ?? undefined };
    },
  };
}

/** A decimal number of BLIND, with or without exponent, in wei; what is smaller than one is cut off. */
export function blindToWei(text: string): bigint {
  const [, whole = "0", fraction = "", exponent = "0"] = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? [];
  const shift = 18 + Number(exponent) - fraction.length;
  const digits = BigInt(whole + fraction);
  return shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
}

const amountKeys = new Set(["amount_blind_earned", "total_blind_earned"]);

/** The JSON of a body with its amounts as the text that was sent, be it a number or a string. */
function readAmounts(response: HttpResponse): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(response.bytes);
    const parsed: unknown = JSON.parse(text, function reviver(
      this: unknown,
      key,
      value,
      context?: { source?: string },
    ) {
      return typeof value === "number" && amountKeys.has(key) ? (context?.source ?? String(value)) : value;
    } as (key: string, value: unknown) => unknown);
    assertUniqueKeys(text);
    return parsed;
  } catch {
    throw new BlfError({
      code: "PAYMENT_NOT_JSON",
      message: `${service.name} answered with something that is not JSON (HTTP ${response.status})`,
      hint: service.hint,
    });
  }
}

/** ISO-8601 in milliseconds since the epoch. A time without a zone is UTC, as the original service means it. */
function parseTime(text: string | null | undefined): number | undefined {
  if (!text) return undefined;
  const time = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
  return Number.isNaN(time) ? undefined : time;
}

function notConfigured(): BlfError {
  return new BlfError({
    code: "PAYMENT_NOT_CONFIGURED",
    message: "No payment service is configured",
    hint: "Set payment_service_url (BLF_PAYMENT_SERVICE_URL).",
  });
}

function refused(status: number): BlfError {
  return new BlfError({
    code: status >= 500 || status === 429 ? "PAYMENT_FAILED" : "PAYMENT_REJECTED",
    message: `${service.name} refuses to tell about this node (HTTP ${status})`,
    hint: service.hint,
    retryable: status >= 500 || status === 429,
  });
}

function unexpected(field: string | undefined): BlfError {
  return new BlfError({
    code: "PAYMENT_UNEXPECTED_ANSWER",
    message: `${service.name} answered with an unexpected value${field ? ` at "${field}"` : ""}`,
    hint: service.hint,
  });
}
