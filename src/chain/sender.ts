import {
  type Address,
  encodeFunctionData,
  type Hash,
  type Hex,
  keccak256,
  type LocalAccount,
  parseTransaction,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from "viem";
import type { Clock } from "../lib/clock.ts";
import { abortable } from "../lib/concurrent.ts";
import { BlfError, errorCode, isRetryable } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Chain } from "./clients.ts";
import type { ContractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import { chooseFees, type Fees, raiseFees } from "./fees.ts";
import { createMemoryNonces, type Nonces } from "./nonces.ts";
import type { StoredTransaction, TransactionStore } from "./transaction-store.ts";

/** A transaction that is not mined by then is replaced by one with a higher fee, or given up, in milliseconds. */
const replaceAfterMs = 20_000;

/** So many questions in a row for a receipt may get no answer; beginning to wait anew would cost more. */
const lostPolls = 4;

export type SendRequest = {
  /** What the transaction is for, for example `output-key:0x…`. The same purpose is never sent twice. */
  purpose: string;
  /** Completes "Cannot …" in error messages. */
  action: string;
  call: ContractCall;
};

/** The one owner of a wallet's nonces. */
export type Sender = {
  /**
   * Simulates, signs, remembers, sends and waits for the receipt. When this purpose was sent before, even by an earlier
   * run of the program, that transaction is waited for instead.
   * @throws BlfError `CHAIN_*`; the signal's reason when aborted (the transaction may still be mined, and is remembered)
   */
  send(request: SendRequest, signal?: AbortSignal): Promise<TransactionReceipt>;
};

export type SenderOptions = {
  chain: Chain;
  account: Pick<LocalAccount, "address" | "signTransaction">;
  store: TransactionStore;
  clock: Clock;
  log: Logger;
  /** Highest fee per gas, in wei. */
  maxFeePerGas: bigint;
  /** Shared with the other processes that use this wallet; by default there are none. */
  nonces?: Nonces;
};

type Content = { to: Address; data: Hex; value: bigint };
type Prepared = { nonce: number; gas: bigint; fees: Fees };

export function createSender(options: SenderOptions): Sender {
  const { chain, account, store, clock, log } = options;
  const { client } = chain;
  /** Nonces are given out one at a time. */
  const nonces = options.nonces ?? createMemoryNonces(clock);
  /** Sends that have not ended, by purpose. */
  const underWay = new Map<string, Promise<TransactionReceipt>>();

  const prepare = async ({ call, action }: SendRequest): Promise<Omit<Prepared, "nonce"> & { chainNonce: number }> => {
    try {
      const [gas, block, tip, chainNonce] = await Promise.all([
        client.estimateContractGas({ ...call, account: account.address }),
        client.getBlock({ blockTag: "latest" }),
        client.estimateMaxPriorityFeePerGas(),
        client.getTransactionCount({ address: account.address, blockTag: "pending" }),
      ]);
      const fees = chooseFees(block.baseFeePerGas ?? 0n, tip, options.maxFeePerGas);
      return { gas: (gas * 6n) / 5n, fees, chainNonce };
    } catch (error) {
      throw chainError(error, action);
    }
  };

  const sign = async (content: Content, { nonce, gas, fees }: Prepared): Promise<{ raw: Hex; hash: Hash }> => {
    const common = { type: "eip1559", chainId: chain.chainId } as const;
    const raw = await account.signTransaction({ ...common, ...content, nonce, gas, ...fees });
    return { raw, hash: keccak256(raw) };
  };

  /** Hands the newest version to the RPC. True when the chain says that the nonce is used up, be it by this transaction or by another. */
  const broadcast = async (transaction: StoredTransaction, action: string): Promise<boolean> => {
    try {
      await client.sendRawTransaction({ serializedTransaction: transaction.raw });
    } catch (error) {
      const text = String((error as { details?: unknown }).details ?? error);
      if (/nonce too low/i.test(text)) return true;
      if (!/already known|already imported|known transaction|underpriced/i.test(text)) throw chainError(error, action);
    }
    return false;
  };

  const findReceipt = async (transaction: StoredTransaction): Promise<TransactionReceipt | undefined> => {
    const receipts = await Promise.all(
      transaction.hashes.map((hash) =>
        client.getTransactionReceipt({ hash }).catch((error: unknown) => {
          if (error instanceof TransactionReceiptNotFoundError) return undefined;
          throw chainError(error, "read a receipt");
        }),
      ),
    );
    return receipts.find((receipt) => receipt !== undefined);
  };

  /** Hands over what was signed before. No other nonce is given out meanwhile: this one may count as free until then. */
  const broadcastAgain = (transaction: StoredTransaction, action: string, signal?: AbortSignal): Promise<boolean> =>
    nonces.exclusively(async (shared) => {
      const nonceUsed = await broadcast(transaction, action);
      shared.next = Math.max(shared.next, transaction.nonce + 1);
      return nonceUsed;
    }, signal);

  /**
   * Signs with the next nonce and remembers the transaction before anybody else can see it. When another process has sent this
   * purpose meanwhile, that is the transaction. `givenUp` is one that can never be mined.
   */
  const start = (
    request: SendRequest,
    givenUp: StoredTransaction | undefined,
    signal?: AbortSignal,
  ): Promise<{ sent: StoredTransaction; nonceUsed: boolean }> =>
    nonces.exclusively(async (shared) => {
      signal?.throwIfAborted();
      const other = store.find(request.purpose);
      if (other && other.status !== "reverted" && other.hashes[0] !== givenUp?.hashes[0])
        return { sent: other, nonceUsed: false };
      const { chainNonce, ...rest } = await prepare(request);
      signal?.throwIfAborted();
      const nonce = Math.max(chainNonce, shared.next);
      const { raw, hash } = await sign(contentOf(request.call), { ...rest, nonce });
      const { purpose } = request;
      const sent: StoredTransaction = { purpose, nonce, hashes: [hash], raw, status: "pending", sentAt: clock.now() };
      store.save(sent);
      shared.next = nonce + 1;
      try {
        return { sent, nonceUsed: await broadcast(sent, request.action) };
      } catch (error) {
        // The RPC may or may not have taken it. The next attempt finds it in the store and sends the very same bytes.
        shared.next = 0;
        throw error;
      }
    }, signal);

  /** Takes over the versions that another process has sent of a transaction meanwhile. True when there are some. */
  const adopt = (transaction: StoredTransaction): boolean => {
    const stored = store.find(transaction.purpose);
    if (!stored || stored.hashes[0] !== transaction.hashes[0]) return false;
    if (stored.hashes.length <= transaction.hashes.length) return false;
    transaction.hashes = [...stored.hashes];
    transaction.raw = stored.raw;
    return true;
  };

  /** How many transactions of this wallet were mined: the lowest nonce that is still free. */
  const countMined = (): Promise<number> =>
    client.getTransactionCount({ address: account.address, blockTag: "latest" }).catch((error: unknown) => {
      throw chainError(error, "read the nonce");
    });

  /**
   * Hands over again what comes before this nonce and was not mined. Nobody may be waiting for it any more, but if the chain has dropped
   * it, everything after it waits for ever.
   */
  const pushEarlier = async (mined: number, nonce: number): Promise<void> => {
    for (const earlier of store.pending()) {
      if (earlier.nonce < mined || earlier.nonce >= nonce) continue;
      log.warn("an earlier transaction is not mined yet and is sent again", { nonce: earlier.nonce });
      const action = "send an earlier transaction again";
      if (!(await replace(earlier, action))) await broadcast(earlier, action);
    }
  };

  /**
   * The receipt, or undefined when another transaction was mined with this nonce, so that no version of ours ever can be. The machines
   * behind an RPC are not equally far: only when the receipt is still missing a while after the nonce was used up is it believed.
   */
  const waitForReceipt = async (
    request: SendRequest,
    transaction: StoredTransaction,
    nonceUsed: boolean,
    signal?: AbortSignal,
  ): Promise<TransactionReceipt | undefined> => {
    let lookAt = clock.now() + replaceAfterMs;
    let wasUsed = nonceUsed;
    let failures = 0;
    for (;;) {
      const answer = await findReceipt(transaction).catch((error: unknown) => {
        failures++;
        if (failures > lostPolls || !isRetryable(error)) throw error;
        return "lost" as const;
      });
      if (answer !== "lost") failures = 0;
      if (answer && answer !== "lost") return settle(request, transaction, answer);
      if (clock.now() >= lookAt) {
        const mined = await countMined();
        const isUsed = mined > transaction.nonce;
        const isNewer = adopt(transaction);
        if (isUsed && wasUsed && !isNewer) return undefined;
        if (mined < transaction.nonce) await nonces.exclusively(() => pushEarlier(mined, transaction.nonce), signal);
        else if (!isUsed && !isNewer) await nonces.exclusively(() => replace(transaction, request.action), signal);
        wasUsed = isUsed;
        lookAt = clock.now() + replaceAfterMs;
      }
      await clock.sleep(chain.pollMs, signal);
    }
  };

  /** Sends the transaction again for a higher fee. False at the cap, where there is nothing to do but to wait. */
  const replace = async (transaction: StoredTransaction, action: string): Promise<boolean> => {
    if (adopt(transaction)) return true;
    const { to, data = "0x", value = 0n, gas = 0n, ...old } = parseTransaction(transaction.raw);
    let fees: Fees;
    try {
      const { maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = old;
      fees = raiseFees({ maxFeePerGas, maxPriorityFeePerGas }, options.maxFeePerGas);
    } catch (error) {
      log.warn("a transaction is not mined yet", { nonce: transaction.nonce, code: errorCode(error) });
      return false;
    }
    const { raw, hash } = await sign({ to: to!, data, value }, { gas, fees, nonce: transaction.nonce });
    transaction.hashes.push(hash);
    transaction.raw = raw;
    store.save(transaction);
    log.warn("a transaction is not mined yet and is sent again with a higher fee", {
      tx: hash,
      nonce: transaction.nonce,
    });
    await broadcast(transaction, action);
    return true;
  };

  const settle = (request: SendRequest, transaction: StoredTransaction, receipt: TransactionReceipt) => {
    transaction.status = receipt.status === "success" ? "succeeded" : "reverted";
    store.save(transaction);
    if (receipt.status === "success") return receipt;
    throw new BlfError({
      code: "CHAIN_TRANSACTION_REVERTED",
      message: `Cannot ${request.action}: the transaction ${receipt.transactionHash} was mined but reverted`,
      hint: "The chain's state changed between the simulation and the block: run the command again.",
    });
  };

  /** Picks up what an earlier run left behind: its receipt, or undefined when it can never be mined. */
  const resume = async (
    request: SendRequest,
    earlier: StoredTransaction,
    signal?: AbortSignal,
  ): Promise<TransactionReceipt | undefined> => {
    const receipt = await findReceipt(earlier);
    if (receipt) return settle(request, earlier, receipt);
    const nonceUsed = await broadcastAgain(earlier, request.action, signal);
    return waitForReceipt(request, earlier, nonceUsed, signal);
  };

  const sendNow = async (request: SendRequest, signal?: AbortSignal): Promise<TransactionReceipt> => {
    const stored = store.find(request.purpose);
    let givenUp = stored?.status === "reverted" ? undefined : stored;
    const resumed = givenUp && (await resume(request, givenUp, signal));
    if (resumed) return resumed;
    for (;;) {
      const { sent, nonceUsed } = await start(request, givenUp, signal);
      log.debug("transaction sent", { tx: sent.hashes[0]!, nonce: sent.nonce });
      const receipt = await waitForReceipt(request, sent, nonceUsed, signal);
      if (receipt) return receipt;
      givenUp = sent;
    }
  };

  return {
    send: async (request, signal) => {
      for (;;) {
        const earlier = underWay.get(request.purpose);
        if (!earlier) break;
        // Whoever comes second finds in the store what the first one did.
        const ended = earlier.catch(() => {});
        await (signal ? abortable(ended, signal) : ended);
      }
      const sending = sendNow(request, signal).finally(() => underWay.delete(request.purpose));
      underWay.set(request.purpose, sending);
      return sending;
    },
  };
}

function contentOf({ address, abi, functionName, args, value = 0n }: ContractCall): Content {
  return { to: address, data: encodeFunctionData({ abi, functionName, args }), value };
}
