import { systemClock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { JobSnapshot } from "../coordinator/views.ts";

const longestMs = 60_000;

/** Waits until every verdict is in and every reward is paid. @throws BlfError `DEMO_NOT_SETTLED` */
export async function waitForSettlement(
  coordinator: Coordinator,
  taskId: string,
  signal: AbortSignal,
): Promise<JobSnapshot> {
  const giveUpAt = systemClock.now() + longestMs;
  while (systemClock.now() < giveUpAt) {
    const job = coordinator.jobs().find((candidate) => candidate.taskId === taskId);
    if (job?.settled) return job;
    await systemClock.sleep(50, signal);
  }
  throw new BlfError({
    code: "DEMO_NOT_SETTLED",
    message: `The rewards were not paid within ${longestMs / 1000} s`,
    hint: "Run the demo again; if it fails the same way, report it.",
  });
}
