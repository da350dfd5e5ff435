import { type Address, createPublicClient, createWalletClient, type Hex, http, type LocalAccount } from "viem";
import { hardhat } from "viem/chains";
import { BlfError } from "../../lib/errors.ts";

export type DevnetCall = {
  /** Absent: the data is a deployment. */
  to?: Address;
  data?: Hex;
  /** In wei. */
  value?: bigint;
};

/** Sends for one account of the devnet, which nobody else may use meanwhile. */
export type Sender = {
  address: Address;
  /** Sends a transaction and returns its nonce. */
  send(call: DevnetCall): Promise<number>;
  /** Waits until everything that was sent is mined. */
  settle(): Promise<void>;
};

/** Gas of every transaction: more than any of ours needs, so that none is estimated. */
const gas = 6_000_000n;

/**
 * @throws BlfError `DEVNET_DEPLOY_FAILED` from each of its functions when the chain cannot be reached or refuses, and from
 * `settle` when a transaction reverted
 */
export async function createSender({ rpcUrl, account }: { rpcUrl: string; account: LocalAccount }): Promise<Sender> {
  const transport = http(rpcUrl, { retryCount: 0 });
  const reader = createPublicClient({ chain: hardhat, transport, pollingInterval: 20 });
  const writer = createWalletClient({ chain: hardhat, transport, account });
  const hashes: Hex[] = [];
  const { maxFeePerGas, maxPriorityFeePerGas } = await orFail(reader.estimateFeesPerGas());
  const fees = { maxFeePerGas: maxFeePerGas * 2n, maxPriorityFeePerGas };
  let nonce = await orFail(reader.getTransactionCount({ address: account.address }));

  return {
    address: account.address,
    send: async (call) => {
      const to = call.to ? { to: call.to } : {};
      const { data = "0x", value = 0n } = call;
      hashes.push(await orFail(writer.sendTransaction({ ...to, data, value, nonce, gas, ...fees })));
      return nonce++;
    },
    settle: async () => {
      for (const hash of hashes.splice(0)) {
        const { status } = await orFail(reader.waitForTransactionReceipt({ hash, timeout: 30_000 }));
        if (status !== "success") throw failed(`the transaction ${hash} reverted`);
      }
    },
  };
}

async function orFail<T>(action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (error) {
    const reason = (error as { shortMessage?: string }).shortMessage ?? "the chain does not answer";
    throw failed(reason.split("\n")[0]!, error);
  }
}

function failed(reason: string, cause?: unknown): BlfError {
  return new BlfError({
    code: "DEVNET_DEPLOY_FAILED",
    message: `The devnet's chain could not be set up: ${reason}`,
    hint: "Start the devnet again; deploying needs a fresh chain.",
    cause,
  });
}
