import { parseEther } from "viem";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { errorCode } from "../../src/lib/errors.ts";
import { createLogger } from "../../src/lib/log.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { infer } from "../../src/requester/infer.ts";
import type { SoakNetwork } from "./network.ts";

/** One job as its requester saw it. */
export type SentJob = {
  taskId: string;
  /** Whether the network took it: the submission was answered. */
  acknowledged: boolean;
  outcome: "running" | "answered" | "failed";
  /** Of the error that the requester got. */
  code: string | undefined;
};

export type Requests = {
  /** Jobs that were put before the network. */
  sent: SentJob[];
  /** How often a requester did not get as far as a submission, by code: the coordinator was away, say. */
  unsent: Record<string, number>;
  /** Sends no more; resolves when every requester has its answer or an error. */
  stop(): Promise<void>;
};

export type RequestOptions = {
  network: SoakNetwork;
  modelId: string;
  /** Between two jobs, in milliseconds. */
  everyMs: number;
  /** Jobs at a time; when so many run, the next one waits for one of them. */
  requesters: number;
};

/** More credits than an hour of jobs costs, in wei of BLIND: what a coordinator that is killed in mid-submission had charged is not given back. */
const credits = parseEther("2000");

/** The longest that a requester waits; the client itself gives up earlier. */
const patienceMs = 900_000;

/** A steady stream of jobs, each with a prompt of its own. The requesters reach the services without faults, but not without restarts. */
export async function startRequests(options: RequestOptions): Promise<Requests> {
  const { network } = options;
  const log = createLogger({ level: "error", format: "text", clock, write: (line) => console.error(line) });
  const free = await Promise.all(
    Array.from({ length: options.requesters }, () =>
      openDevnetRequester({ devnet: network, credits, log, signal: AbortSignal.timeout(60_000) }),
    ),
  );
  const all = [...free];
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const sent: SentJob[] = [];
  const unsent: Record<string, number> = {};

  const ask = async (requester: RequesterContext, number: number): Promise<void> => {
    let job: SentJob | undefined;
    const submit: RequesterContext["client"]["submit"] = async (submission, signal) => {
      job = { taskId: submission.taskId, acknowledged: false, outcome: "running", code: undefined };
      sent.push(job);
      const answer = await requester.client.submit(submission, signal);
      job.acknowledged = true;
      return answer;
    };
    try {
      await infer(
        { ...requester, client: { ...requester.client, submit } },
        {
          prompt: `what comes after ${number}?`,
          modelId: options.modelId,
          verifierCount: 2,
          currency: "blind",
          signal: AbortSignal.timeout(patienceMs),
        },
      );
      if (job) job.outcome = "answered";
    } catch (error) {
      const code = errorCode(error);
      if (job) Object.assign(job, { outcome: "failed", code });
      else unsent[code] = (unsent[code] ?? 0) + 1;
    } finally {
      free.push(requester);
    }
  };

  const send = async (): Promise<void> => {
    for (let number = 1; !stopping.signal.aborted; number++) {
      const requester = free.shift();
      if (requester) {
        const asking = ask(requester, number).finally(() => running.delete(asking));
        running.add(asking);
      }
      await clock.sleep(options.everyMs, stopping.signal).catch(() => {});
    }
  };
  const sending = send();
  return {
    sent,
    unsent,
    stop: async () => {
      stopping.abort();
      await sending;
      await Promise.all(running);
      await Promise.all(all.map(({ cofhe }) => cofhe.close()));
    },
  };
}
