import type { Chain } from "../../chain/clients.ts";

export type RpcState = {
  answered: { origin: string; chainId: number }[];
  silent: string[];
  /** Why nothing can be read from the chain, or undefined when it can. */
  unusable: string | undefined;
};

/** Asks every RPC for its chain. */
export async function askRpc(chain: Chain): Promise<RpcState> {
  const answers = await Promise.all(
    chain.endpoints.map(async ({ origin, chainId }) => ({ origin, chainId: await chainId().catch(() => undefined) })),
  );
  const answered = answers.flatMap(({ origin, chainId }) => (chainId === undefined ? [] : [{ origin, chainId }]));
  const silent = answers.flatMap(({ origin, chainId }) => (chainId === undefined ? [origin] : []));
  const isRight = answered.some(({ chainId }) => chainId === chain.chainId);
  const unusable = isRight
    ? undefined
    : answered.length > 0
      ? "the RPC serves another chain"
      : "the RPC does not answer";
  return { answered, silent, unusable };
}
