import { parseUnits } from "viem";
import { BlfError, exitCodes } from "../../lib/errors.ts";

/**
 * An amount of BLIND in wei: `1000`, `1000.5` (at most 18 decimals) or `1000000000000000000000wei`.
 * @throws BlfError `AMOUNT_INVALID` (usage)
 */
export function parseBlind(text: string): bigint {
  const wei = /^(\d{1,60})wei$/.exec(text)?.[1];
  if (wei !== undefined && BigInt(wei) > 0n) return BigInt(wei);
  if (/^\d{1,40}(\.\d{1,18})?$/.test(text)) {
    const amount = parseUnits(text, 18);
    if (amount > 0n) return amount;
  }
  throw new BlfError({
    code: "AMOUNT_INVALID",
    message: "The amount is not a positive number of BLIND",
    hint: "Write 1000, 1000.5 (a point, at most 18 decimals) or 1000000000000000000000wei.",
    exitCode: exitCodes.usage,
  });
}
