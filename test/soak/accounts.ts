import { type DevnetAccounts, devnetAccounts } from "../../src/devnet/accounts.ts";

/** Coordinator and payment service share one wallet, as on the network (PROTOCOL.md 16). */
export function coordinatorAccounts(): DevnetAccounts {
  const accounts = devnetAccounts();
  return { ...accounts, treasury: accounts.icl };
}
