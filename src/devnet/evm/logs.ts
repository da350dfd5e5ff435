import { bytesToHex } from "@ethereumjs/util";
import type { Chain, MinedLog } from "./chain.ts";
import { formatLogs } from "./format.ts";
import type { BlockTag, LogFilter } from "./params.ts";
import { refused } from "./rpc-error.ts";
import { blockAt } from "./view.ts";

/** As many logs as public providers return at once; more than that needs a narrower range. */
const maxLogs = 10_000;

/** @throws RpcError when a block does not exist, the range is empty or it holds too much */
export function findLogs(chain: Chain, filter: LogFilter) {
  const [from, to] = blockRange(chain, filter);
  const addresses = filter.address?.map((address) => address.toLowerCase());
  const matches = (log: MinedLog) =>
    (!addresses || addresses.includes(log.address)) &&
    filter.topics.every((topics, index) => !topics || topics.some((topic) => topic === log.topics[index]));

  const found: ReturnType<typeof formatLogs> = [];
  for (const block of chain.blocks.slice(from, to + 1))
    for (const transaction of block.transactions) {
      const mined = chain.transactions.get(bytesToHex(transaction.hash()));
      if (mined) found.push(...formatLogs(chain, mined).filter(matches));
      if (found.length > maxLogs) throw refused(`query returned more than ${maxLogs} results`);
    }
  return found;
}

function blockRange(chain: Chain, filter: LogFilter): [from: number, to: number] {
  if (filter.blockHash !== undefined) {
    const number = chain.numberOf.get(filter.blockHash);
    if (number === undefined) throw refused("unknown block");
    return [number, number];
  }
  const from = blockNumber(chain, filter.fromBlock ?? "latest");
  const to = blockNumber(chain, filter.toBlock ?? "latest");
  if (from > to && filter.toBlock != null && filter.fromBlock != null) throw refused("invalid block range params");
  return [from, to];
}

/** A number beyond the head is fine in a range: there is nothing there yet. */
function blockNumber(chain: Chain, tag: BlockTag): number {
  if (typeof tag === "bigint") return Number(tag);
  const block = blockAt(chain, tag);
  if (!block) throw refused("unknown block");
  return Number(block.header.number);
}
