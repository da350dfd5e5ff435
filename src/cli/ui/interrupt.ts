import { BlfError } from "../../lib/errors.ts";

/** A signal that aborts on Ctrl-C or SIGTERM, so that a command can end in order. */
export function interruptSignal(): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const onSignal = () =>
    controller.abort(
      new BlfError({
        code: "INTERRUPTED",
        message: "Interrupted",
        hint: "What was begun is remembered: run the command again to go on.",
      }),
    );
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    clear: () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
