import {
  encodeFunctionData,
  type Hash,
  type Hex,
  keccak256,
  type LocalAccount,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from "viem";
import type { Clock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Chain } from "./clients.ts";
import type { ContractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import { chooseFees, type Fees, raiseFees } from "./fees.ts";
import type { StoredTransaction, TransactionStore } from "./transaction-store.ts";

/** A transaction that is not mined by then is replaced by one with a higher fee, in milliseconds. */
const replaceAfterMs = 20_000;

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
};

type Prepared = { nonce: number; gas: bigint; fees: Fees };

export function createSender(options: SenderOptions): Sender {
  const { chain, account, store, clock, log } = options;
  const { client } = chain;
  let turn: Promise<unknown> = Promise.resolve();
  let nextNonce = 0;

  /** Nonces are given out one at a time, in the order of the calls. */
  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const result = turn.then(action, action);
    turn = result.catch(() => {});
    return result;
  };

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

  const sign = async (call: ContractCall, prepared: Prepared): Promise<{ raw: Hex; hash: Hash }> => {
    const raw = await account.signTransaction({
      type: "eip1559",
      chainId: chain.chainId,
      to: call.address,
      data: encodeFunctionData({ abi: call.abi, functionName: call.functionName, args: call.args }),
      value: call.value ?? 0n,
      nonce: prepared.nonce,
      gas: prepared.gas,
      ...prepared.fees,
    });
    return { raw, hash: keccak256(raw) };
  };

  /** Hands the newest version to the RPC. "Already known" and "nonce too low" are answered by looking for a receipt. */
  const broadcast = async (transaction: StoredTransaction, action: string): Promise<void> => {
    try {
      await client.sendRawTransaction({ serializedTransaction: transaction.raw });
    } catch (error) {
      const text = String((error as { details?: unknown }).details ?? error);
      if (/already known|already imported|known transaction|nonce too low|underpriced/i.test(text)) return;
      throw chainError(error, action);
    }
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

  /** Signs with the next nonce and remembers the transaction before anybody else can see it. */
  const start = (request: SendRequest): Promise<StoredTransaction & { prepared: Prepared }> =>
    inTurn(async () => {
      const { chainNonce, ...rest } = await prepare(request);
      const prepared = { ...rest, nonce: Math.max(chainNonce, nextNonce) };
      const { raw, hash } = await sign(request.call, prepared);
      const transaction: StoredTransaction = {
        purpose: request.purpose,
        nonce: prepared.nonce,
        hashes: [hash],
        raw,
        status: "pending",
        sentAt: clock.now(),
      };
      store.save(transaction);
      nextNonce = prepared.nonce + 1;
      try {
        await broadcast(transaction, request.action);
      } catch (error) {
        // The RPC may or may not have taken it. The next attempt finds it in the store and sends the very same bytes.
        nextNonce = 0;
        throw error;
      }
      return { ...transaction, prepared };
    });

  /** Whether another transaction was mined with this nonce, so that no version of ours ever can be. */
  const isSuperseded = async (transaction: StoredTransaction): Promise<boolean> => {
    const mined = await client
      .getTransactionCount({ address: account.address, blockTag: "latest" })
      .catch((error: unknown) => {
        throw chainError(error, "read the nonce");
      });
    return mined > transaction.nonce && !(await findReceipt(transaction));
  };

  /** The receipt, or undefined when the transaction can never be mined. */
  const waitForReceipt = async (
    request: SendRequest,
    transaction: StoredTransaction,
    prepared: Prepared | undefined,
    signal?: AbortSignal,
  ): Promise<TransactionReceipt | undefined> => {
    let replaceAt = clock.now() + replaceAfterMs;
    let current = prepared;
    for (;;) {
      const receipt = await findReceipt(transaction);
      if (receipt) return settle(request, transaction, receipt);
      if (clock.now() >= replaceAt) {
        if (await isSuperseded(transaction)) return undefined;
        replaceAt = clock.now() + replaceAfterMs;
        current = await replace(request, transaction, current);
      }
      await clock.sleep(chain.pollMs, signal);
    }
  };

  const replace = async (
    request: SendRequest,
    transaction: StoredTransaction,
    previous: Prepared | undefined,
  ): Promise<Prepared> => {
    const { chainNonce: _, ...fresh } = await prepare(request);
    const fees = previous ? raiseFees(previous.fees, options.maxFeePerGas) : fresh.fees;
    const next = { ...fresh, fees, nonce: transaction.nonce };
    const { raw, hash } = await sign(request.call, next);
    transaction.hashes.push(hash);
    transaction.raw = raw;
    store.save(transaction);
    log.warn("a transaction is not mined yet and is sent again with a higher fee", { tx: hash, nonce: next.nonce });
    await broadcast(transaction, request.action);
    return next;
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

  /** Picks up what an earlier run left behind, unless that can never be mined. */
  const resume = async (request: SendRequest, signal?: AbortSignal): Promise<TransactionReceipt | undefined> => {
    const earlier = store.find(request.purpose);
    if (!earlier || earlier.status === "reverted") return undefined;
    const receipt = await findReceipt(earlier);
    if (receipt) return settle(request, earlier, receipt);
    if (await isSuperseded(earlier)) return undefined;
    await broadcast(earlier, request.action);
    return waitForReceipt(request, earlier, undefined, signal);
  };

  return {
    send: async (request, signal) => {
      const resumed = await resume(request, signal);
      if (resumed) return resumed;
      for (;;) {
        const { prepared, ...transaction } = await start(request);
        log.debug("transaction sent", { tx: transaction.hashes[0]!, nonce: transaction.nonce });
        const receipt = await waitForReceipt(request, transaction, prepared, signal);
        if (receipt) return receipt;
      }
    },
  };
}
