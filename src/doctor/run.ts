import { BlfError } from "../lib/errors.ts";
import { type Check, type Finding, failed, notChecked } from "./check.ts";
import type { DoctorContext } from "./context.ts";
import { type DoctorReport, summary } from "./report.ts";

const defaultTimeoutMs = 5000;

/** Runs all checks side by side, each within its time, and gives what they found in the order of the list. Changes nothing. */
export async function runDoctor(
  ctx: Omit<DoctorContext, "signal">,
  checks: readonly Check[],
  signal: AbortSignal,
): Promise<DoctorReport> {
  const started = performance.now();
  const findings = (await Promise.all(checks.map((check) => runCheck(ctx, check, signal)))).flat();
  signal.throwIfAborted();
  return { ...summary(findings), ms: Math.round(performance.now() - started), findings };
}

async function runCheck(ctx: Omit<DoctorContext, "signal">, check: Check, signal: AbortSignal): Promise<Finding[]> {
  if (check.needs !== "machine" && ctx.problem) return [notChecked(check, "the configuration cannot be used")];
  if (check.needs === "node" && !ctx.exists) return [notChecked(check, "there is no node here yet")];
  const timeoutMs = check.timeoutMs ?? defaultTimeoutMs;
  const timeUp = Promise.withResolvers<Finding[]>();
  const controller = new AbortController();
  const timer = setTimeout(() => {
    timeUp.resolve([
      failed(
        check,
        `no answer within ${timeoutMs / 1000} s`,
        "Run the command again; if it stays so, look at what it waits for.",
      ),
    ]);
    controller.abort(new DOMException("the check's time is up", "TimeoutError"));
  }, timeoutMs);
  try {
    const run = check.run({ ...ctx, signal: AbortSignal.any([signal, controller.signal]) });
    return await Promise.race([run, timeUp.promise, whenAborted(signal)]);
  } catch (error) {
    if (controller.signal.aborted) return timeUp.promise;
    if (signal.aborted) return [];
    if (error instanceof BlfError) return [failed(check, error.message, error.hint)];
    return [failed(check, "the check itself failed", "This is a defect of blindference: please report it.")];
  } finally {
    clearTimeout(timer);
  }
}

function whenAborted(signal: AbortSignal): Promise<Finding[]> {
  if (signal.aborted) return Promise.resolve([]);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve([]), { once: true }));
}
