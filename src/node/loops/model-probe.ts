import { errorCode, failureFields, isRetryable } from "../../lib/errors.ts";
import type { CertificateKeeper } from "../certificate.ts";
import type { NodeContext } from "../context.ts";
import { startLoop } from "./loop.ts";

/** So long the start waits for services over HTTP, in milliseconds; what takes longer is offered by a later attestation. */
export const firstLookMs = 30_000;

/**
 * Looks after backends that failed several times in a row, and services that were not fit: nothing else would ever use them again. Then
 * tells the coordinator, when what this node advertises has changed by it.
 */
export function startModelProbeLoop(ctx: NodeContext, certificate: CertificateKeeper, signal: AbortSignal) {
  const run = async (s: AbortSignal) => {
    try {
      await ctx.inference.probe(s);
    } finally {
      if (!s.aborted) await certificate.ensure(s);
    }
  };
  return startLoop(ctx, { name: "model-probe", periodMs: 60_000, jitter: 0.2, run }, signal);
}

/** Looks at the models of services before the first attestation, which names those that are fit. A model that is not ends no start. */
export async function lookAtModels(ctx: NodeContext, signal: AbortSignal): Promise<void> {
  const { inference, clock, log } = ctx;
  if (inference.advertised().length === inference.models().length) return;
  const done = new AbortController();
  const look = inference.probe(signal).catch((error: unknown) => {
    if (!signal.aborted) log.warn("a model is not offered yet; the node goes on trying", { code: errorCode(error) });
  });
  const patience = clock.sleep(firstLookMs, AbortSignal.any([signal, done.signal])).catch(() => {});
  await Promise.race([look, patience]);
  done.abort();
}

/**
 * Loads every model of this machine once, the first one last, so that it is ready for the first job. One that cannot be loaded is not
 * offered; when it is the first, the start ends. A service that is away may come back.
 */
export async function warmModels(ctx: NodeContext, signal: AbortSignal): Promise<void> {
  const { inference, log } = ctx;
  const [model, ...others] = inference.advertised();
  if (model === undefined) return;
  for (const other of others.filter(inference.isLocal))
    await inference.warm(other, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      log.error("a model cannot be loaded, and is not offered", { ...failureFields(error), model: other });
    });
  await inference.warm(model, signal).catch((error: unknown) => {
    if (!isRetryable(error)) throw error;
    log.warn("the model is not ready yet", { model, code: errorCode(error) });
  });
}
