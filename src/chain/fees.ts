import { formatGwei } from "viem";
import { BlfError } from "../lib/errors.ts";

export type Fees = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint };

/**
 * EIP-1559 fees in wei: room for the base fee to double, plus the tip; never above the cap.
 * @throws BlfError `CHAIN_FEE_ABOVE_CAP` (retryable) when the base fee alone is above the cap
 */
export function chooseFees(baseFee: bigint, priorityFee: bigint, cap: bigint): Fees {
  if (baseFee + priorityFee > cap) throw feeAboveCap(baseFee + priorityFee, cap);
  const wanted = 2n * baseFee + priorityFee;
  return { maxFeePerGas: wanted < cap ? wanted : cap, maxPriorityFeePerGas: priorityFee };
}

/**
 * Fees of a replacement: both raised by at least 12.5 %, which is more than the 10 % that nodes of the chain demand.
 * @throws BlfError `CHAIN_FEE_ABOVE_CAP` (retryable)
 */
export function raiseFees(fees: Fees, cap: bigint): Fees {
  const raise = (value: bigint) => value + value / 8n + 1n;
  const raised = {
    maxFeePerGas: raise(fees.maxFeePerGas),
    maxPriorityFeePerGas: raise(fees.maxPriorityFeePerGas),
  };
  if (raised.maxFeePerGas > cap) throw feeAboveCap(raised.maxFeePerGas, cap);
  return raised;
}

function feeAboveCap(fee: bigint, cap: bigint): BlfError {
  return new BlfError({
    code: "CHAIN_FEE_ABOVE_CAP",
    message: `The network asks for ${formatGwei(fee)} gwei per gas, the cap is ${formatGwei(cap)}`,
    hint: "Wait until fees fall, or raise max_fee_gwei.",
    retryable: true,
  });
}
