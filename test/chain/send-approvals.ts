import { privateKeyToAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { createChain } from "../../src/chain/clients.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import { createSender } from "../../src/chain/sender.ts";
import { createSharedNonces } from "../../src/chain/wallet-lock.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { retry } from "../../src/lib/retry.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { captureLog } from "../helpers/capture-log.ts";

/** What a command is told: to approve each of the values from `first` to `last`, in one transaction each. */
export type ApprovalTask = {
  dir: string;
  url: string;
  privateKey: `0x${string}`;
  blind: `0x${string}`;
  spender: `0x${string}`;
  first: number;
  last: number;
};

/** A command that sends, several at a time, and goes on after errors that may pass. Says each value that is mined. */
async function main(task: ApprovalTask): Promise<void> {
  const account = privateKeyToAccount(task.privateKey);
  const chain = createChain({ rpcUrl: task.url, chainId: 31_337 });
  const journal = openJournal(`${task.dir}/journal.db`, systemClock);
  const common = { clock: systemClock, log: captureLog().log };
  const sender = createSender({
    ...common,
    chain,
    account,
    store: journal.transactions,
    maxFeePerGas: 10n ** 10n,
    nonces: createSharedNonces({ ...common, dir: task.dir, address: account.address, chainId: 31_337 }),
  });
  const values = Array.from({ length: task.last - task.first + 1 }, (_, index) => task.first + index);
  const approve = async (value: number) => {
    const args = [task.spender, BigInt(value)] as const;
    const call = contractCall({ address: task.blind, abi: blindAbi, functionName: "approve", args });
    const request = { purpose: `approve:${value}`, action: "approve", call };
    await retry(() => sender.send(request), { clock: systemClock, attempts: 50, initialMs: 20, maxMs: 200 });
    process.stdout.write(`${value}\n`);
  };
  const worker = async () => {
    for (let value = values.shift(); value !== undefined; value = values.shift()) await approve(value);
  };
  await Promise.all([worker(), worker(), worker()]);
  journal.close();
}

if (import.meta.main) await main(JSON.parse(await Bun.stdin.text()) as ApprovalTask);
