import { type Block, createBlock } from "@ethereumjs/block";
import { createFeeMarket1559Tx } from "@ethereumjs/tx";
import { bytesToHex, createAddressFromString } from "@ethereumjs/util";
import { type RunTxResult, runTx } from "@ethereumjs/vm";
import { zeroAddress } from "viem";
import { failure } from "./call.ts";
import { baseFeePerGas, blockGasLimit } from "./genesis.ts";
import { type CallRequest, transactionFields } from "./params.ts";
import { refused } from "./rpc-error.ts";
import type { View } from "./view.ts";

/** The search ends when its bounds are this close, as a share of the upper one: 1.5 %, as in geth. */
const tolerance = { numerator: 15n, denominator: 1000n };

/** Gas that a call with value hands on for free: it is not in the total that a run reports. */
const callStipend = 2300n;

/**
 * A gas limit with which a transaction succeeds. What it spends is not enough, since a call passes on only 63/64 of the gas that
 * is left and refunds come at the end; so the limit is tried. It is tried in the next second, because a contract that writes the
 * time pays more when its last write was in another second.
 * @throws RpcError 3 when it reverts however much gas it gets, -32000 when it cannot be afforded
 */
export async function estimateGas(view: View, request: CallRequest): Promise<bigint> {
  const allowance = await gasAllowance(view, request);
  const result = await attempt(view, request, allowance);
  if (!result || result.execResult.exceptionError?.error === "out of gas")
    throw refused(`gas required exceeds allowance (${allowance})`);
  const { exceptionError, returnValue } = result.execResult;
  if (exceptionError) throw failure(exceptionError.error, bytesToHex(returnValue));

  const later = { vm: view.vm, block: oneSecondLater(view.block) };
  const spent = result.totalGasSpent + result.gasRefund + callStipend;
  const likely = (spent * 64n) / 63n + 1n;
  if (likely < allowance && (await succeeds(later, request, likely))) return likely;
  const views = (await succeeds(later, request, allowance)) ? [view, later] : [view];
  return search(views, request, result.totalGasSpent - 1n, allowance);
}

/** Narrows a limit down between one that is too low and one that is enough; within the tolerance it is the least. */
async function search(views: readonly View[], request: CallRequest, low: bigint, high: bigint): Promise<bigint> {
  while (low + 1n < high && (high - low) * tolerance.denominator > high * tolerance.numerator) {
    // Most needs are close to the lower bound, and the upper one may be a thousand times that.
    const half = (low + high) / 2n;
    const middle = half > low * 2n ? low * 2n : half;
    let enough = true;
    for (const view of views) enough = enough && (await succeeds(view, request, middle));
    if (enough) high = middle;
    else low = middle;
  }
  return high;
}

async function succeeds(view: View, request: CallRequest, gas: bigint): Promise<boolean> {
  const result = await attempt(view, request, gas);
  return result !== undefined && !result.execResult.exceptionError;
}

function oneSecondLater({ header, common }: Block): Block {
  const { number, parentHash, gasLimit } = header;
  const later = { number, parentHash, gasLimit, baseFeePerGas, timestamp: header.timestamp + 1n };
  return createBlock({ header: later }, { common });
}

/** As much gas as the request allows, the block holds and the sender can pay. */
async function gasAllowance({ vm }: View, request: CallRequest): Promise<bigint> {
  const limit = request.gas !== undefined && request.gas < blockGasLimit ? request.gas : blockGasLimit;
  const fee = request.maxFeePerGas ?? request.gasPrice ?? 0n;
  const value = request.value ?? 0n;
  if (fee === 0n && value === 0n) return limit;
  const sender = createAddressFromString(request.from ?? zeroAddress);
  const balance = (await vm.stateManager.getAccount(sender))?.balance ?? 0n;
  const affordable = fee === 0n ? limit : (balance - value) / fee;
  if (balance < value || affordable < 21_000n)
    throw refused(`insufficient funds for gas * price + value: address ${sender} have ${balance}`);
  return affordable < limit ? affordable : limit;
}

/** Runs the transaction as a block would, and forgets what it changed. Undefined: the gas does not even pay for its bytes. */
async function attempt({ vm, block }: View, request: CallRequest, gas: bigint): Promise<RunTxResult | undefined> {
  const transaction = createFeeMarket1559Tx(
    {
      chainId: vm.common.chainId(),
      gasLimit: gas,
      maxFeePerGas: baseFeePerGas,
      maxPriorityFeePerGas: 0n,
      ...transactionFields(request),
    },
    { common: vm.common, freeze: false },
  );
  if (transaction.getIntrinsicGas() > gas) return undefined;
  const sender = createAddressFromString(request.from ?? zeroAddress);
  transaction.getSenderAddress = () => sender;
  await vm.stateManager.checkpoint();
  try {
    return await runTx(vm, { tx: transaction, block, skipNonce: true, skipBalance: true });
  } finally {
    await vm.stateManager.revert();
  }
}
