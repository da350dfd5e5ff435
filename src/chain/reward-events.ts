import {
  type Address,
  BaseError,
  encodeEventTopics,
  formatLog,
  HttpRequestError,
  type Log,
  numberToHex,
  parseEventLogs,
  type RpcLog,
  TimeoutError,
} from "viem";
import { rewardAccumulatorAbi } from "./abi/reward-accumulator.ts";
import type { Chain } from "./clients.ts";
import { chainError } from "./errors.ts";

/** What happened to a node's rewards, oldest first. Amounts in wei of BLIND. */
export type RewardEvent =
  | { kind: "accrued"; cycle: bigint; block: bigint; escrowId: bigint; role: number; amount: bigint }
  | { kind: "released"; cycle: bigint; block: bigint; amount: bigint; tx: `0x${string}` }
  | { kind: "forfeited"; cycle: bigint; block: bigint };

export type RewardEvents = {
  events: RewardEvent[];
  /** First block that was looked at. */
  fromBlock: bigint;
  /** Whether that is as far back as was asked for. */
  isComplete: boolean;
};

export type RewardEventsParameters = {
  chain: Chain;
  accumulator: Address;
  node: Address;
  /** Where to stop looking back; 0 by default. */
  fromBlock?: bigint;
  /** Requests that may be spent; RPCs that serve few blocks at a time would otherwise be asked for hours. */
  maxRequests?: number;
};

/** Blocks looked at in one request at least, even when the RPC refuses: fewer would lead nowhere. */
const smallestRange = 10n;

/**
 * The events of one node, found from the newest block backwards. How many blocks an RPC serves at once is found by trying: all at first,
 * then a quarter after each refusal.
 * @throws BlfError `CHAIN_*`
 */
export async function findRewardEvents(parameters: RewardEventsParameters): Promise<RewardEvents> {
  const { chain, fromBlock = 0n, maxRequests = 200 } = parameters;
  const latest = await chain.client.getBlockNumber().catch((error: unknown) => {
    throw chainError(error, "read the newest block");
  });
  const logs: Log<bigint, number, false>[] = [];
  let next = latest;
  let range = latest - fromBlock + 1n;
  for (let requests = 0; next >= fromBlock && requests < maxRequests; requests++) {
    const start = next - range + 1n > fromBlock ? next - range + 1n : fromBlock;
    try {
      logs.push(...(await readLogs(parameters, start, next)));
      next = start - 1n;
    } catch (error) {
      if (range <= smallestRange || !isRefusal(error)) throw chainError(error, "read the node's rewards");
      range = range / 4n > smallestRange ? range / 4n : smallestRange;
    }
  }
  return { events: decode(logs), fromBlock: next + 1n, isComplete: next < fromBlock };
}

async function readLogs(
  { chain, accumulator, node }: RewardEventsParameters,
  from: bigint,
  to: bigint,
): Promise<Log<bigint, number, false>[]> {
  const topic = (eventName: "Accrued" | "Released" | "Forfeited") =>
    encodeEventTopics({ abi: rewardAccumulatorAbi, eventName, args: { node } });
  const [accrued, nodeTopic] = topic("Accrued");
  const filter = {
    address: accumulator,
    topics: [[accrued!, topic("Released")[0]!, topic("Forfeited")[0]!], nodeTopic as `0x${string}`],
    fromBlock: numberToHex(from),
    toBlock: numberToHex(to),
  };
  const logs = (await chain.client.request({ method: "eth_getLogs", params: [filter] })) as RpcLog[];
  return logs.map((log) => formatLog(log) as Log<bigint, number, false>);
}

/** Whether the RPC answered that it will not do this, as it does when there are too many blocks or logs. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false;
  if (error.walk((cause) => cause instanceof TimeoutError)) return true;
  const http = error.walk((cause) => cause instanceof HttpRequestError);
  return http instanceof HttpRequestError ? http.status === 400 || http.status === 413 : true;
}

function decode(logs: Log<bigint, number, false>[]): RewardEvent[] {
  const sorted = logs.toSorted((a, b) => Number(a.blockNumber - b.blockNumber) || a.logIndex - b.logIndex);
  return parseEventLogs({ abi: rewardAccumulatorAbi, logs: sorted }).flatMap((log): RewardEvent[] => {
    const block = log.blockNumber;
    switch (log.eventName) {
      case "Accrued": {
        const { cycleEpoch: cycle, escrowId, role, amount } = log.args;
        return [{ kind: "accrued", cycle, block, escrowId, role, amount }];
      }
      case "Released": {
        const { cycleEpoch: cycle, totalAmount: amount } = log.args;
        return [{ kind: "released", cycle, block, amount, tx: log.transactionHash }];
      }
      case "Forfeited":
        return [{ kind: "forfeited", cycle: log.args.cycleEpoch, block }];
      default:
        return [];
    }
  });
}
