import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { createSupervisor } from "../../../src/inference/process/supervisor.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import { captureLog } from "../../helpers/capture-log.ts";

const command = [process.execPath, fileURLToPath(new URL("./host-main.ts", import.meta.url))];

test.each([
  "rejection",
  "exception",
])("a child with a stray %s ends, says where it happened, and quotes nothing", async (op) => {
  const log = captureLog();
  const failure = (code: string, message: string) => new BlfError({ code, message, hint: "none" });
  const child = createSupervisor<object, { op: string; text: string }, null>({
    command,
    setup: {},
    clock: systemClock,
    log: log.log,
    name: "child",
    logOutput: true,
    errors: {
      startFailed: (reason) => failure("START_FAILED", reason),
      crashed: (how, lastLines) => failure("CRASHED", `${how}: ${lastLines.join("|")}`),
      closed: () => failure("CLOSED", "closed"),
    },
  });
  try {
    const error = await child.order({ op, text: "a-prompt-to-hide" }, new AbortController().signal).then(
      () => undefined,
      (reason: BlfError) => reason,
    );
    expect(error?.code).toBe("CRASHED");
    expect(error?.message).toMatch(/^code 1: something failed that nothing waited for: INTERNAL at \d+:\d+/);
    expect(error?.message).not.toContain("|");
    expect(log.text()).toContain("something failed that nothing waited for");
    expect(log.text()).not.toContain("a-prompt-to-hide");
  } finally {
    await child.close();
  }
});
