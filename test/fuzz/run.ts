import fc from "fast-check";
import { BlfError } from "../../src/lib/errors.ts";
import type { Target } from "./target.ts";

export type RunOptions = { cases: number; seed?: number };

/**
 * Feeds a target and fails, with the smallest input found, when it throws anything but a typed error, accepts what is forged, or leaves
 * its mark on every object.
 */
export async function fuzz(name: string, target: Target, { cases, seed }: RunOptions): Promise<number> {
  const numRuns = Math.max(1, Math.ceil(cases * (target.share ?? 1)));
  const property = fc.asyncProperty(target.input, async (input) => {
    try {
      await target.read(input);
    } catch (error) {
      if (!(error instanceof BlfError)) throw new Error(`${name}: ${untyped(error)}`, { cause: error });
      if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(error.message + error.hint))
        throw new Error(`${name}: control characters reach the terminal in ${error.code}`);
    }
    if (({} as Record<string, unknown>)["polluted"] !== undefined) throw new Error(`${name}: a prototype was changed`);
  });
  await fc.assert(property, { numRuns, ...(seed === undefined ? {} : { seed }) });
  return numRuns;
}

function untyped(error: unknown): string {
  return error instanceof Error ? `an untyped error got out: ${error.stack}` : `something was thrown: ${String(error)}`;
}
