import { runHost } from "../../../src/inference/process/host.ts";
import { BlfError } from "../../../src/lib/errors.ts";

/** A child that fails where nothing waits for it, with the text that it was given. */
await runHost<object, { op: string; text: string }, null>({
  open: () => {},
  work: async ({ op, text }) => {
    if (op === "rejection") void Promise.reject(new Error(text));
    if (op === "exception")
      setTimeout(() => {
        throw new Error(text);
      });
    return new Promise<never>(() => {});
  },
  unknownError: () => new BlfError({ code: "UNKNOWN", message: "unknown", hint: "none" }),
});
