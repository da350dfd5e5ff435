import type { Address } from "viem";
import { RequestError } from "./http.ts";
import type { Account, Job, Payment, State } from "./state.ts";

/** PROTOCOL.md 8: price in units of 10^-6 cUSDC, by provider. */
const cusdcPrices: Record<string, bigint> = { groq: 5000n, gemini: 3000n };
const defaultCusdcPrice = 1000n;
/** One unit of 10^-6 USD in wei of BLIND at 0.01 USD, less 20 %. */
const blindPerCusdcUnit = 80n * 10n ** 12n;

export type Price = Pick<Payment, "amountCusdc" | "amountBlind">;

/** What one job costs in the chosen currency; the other amount is 0. */
export function priceOf(modelId: string, currency: Payment["currency"]): Price {
  const provider = modelId.includes(":") ? modelId.slice(0, modelId.indexOf(":")) : "";
  const cusdc = cusdcPrices[provider] ?? defaultCusdcPrice;
  return currency === "cusdc"
    ? { amountCusdc: cusdc, amountBlind: 0n }
    : { amountCusdc: 0n, amountBlind: cusdc * blindPerCusdcUnit };
}

/** Call packages (PROTOCOL.md 8). Prices in wei of BLIND. */
export const packages = [
  { id: "starter", name: "Starter", calls: 100n, bonus: 0n, blind: 100n },
  { id: "pro", name: "Pro", calls: 500n, bonus: 5n, blind: 450n },
  { id: "enterprise", name: "Enterprise", calls: 5000n, bonus: 10n, blind: 4000n },
].map(({ id, name, calls, bonus, blind }) => ({
  id,
  name,
  baseCalls: calls,
  bonusPercent: bonus,
  totalCalls: (calls * (100n + bonus)) / 100n,
  price: blind * 10n ** 18n,
  /** Credits that it buys, in units of 10^-6 cUSDC. */
  credits: (calls * 1000n * (100n + bonus)) / 100n,
}));

/** The account of an address; empty for one that was never seen. */
export function accountOf(state: State, address: Address): Account {
  return (
    state.accounts.get(address) ?? {
      cusdc: 0n,
      blind: 0n,
      depositedCusdc: 0n,
      depositedBlind: 0n,
      spentCusdc: 0n,
      spentBlind: 0n,
    }
  );
}

/** Adds credits that were bought: cUSDC in units of 10^-6, BLIND in wei. */
export function credit(state: State, address: Address, amount: { cusdc?: bigint; blind?: bigint }): void {
  const { cusdc = 0n, blind = 0n } = amount;
  const account = { ...accountOf(state, address) };
  account.cusdc += cusdc;
  account.depositedCusdc += cusdc;
  account.blind += blind;
  account.depositedBlind += blind;
  state.accounts.set(address, account);
}

/**
 * Takes the price of a job.
 * @throws RequestError 402
 */
export function charge(state: State, address: Address, price: Price): void {
  const account = accountOf(state, address);
  if (account.cusdc < price.amountCusdc || account.blind < price.amountBlind)
    throw new RequestError(402, `Insufficient credits: need ${price.amountCusdc} cUSDC / ${price.amountBlind} BLIND`);
  spend(state, address, price.amountCusdc, price.amountBlind);
}

/** Undoes `charge`. */
export function uncharge(state: State, address: Address, price: Price): void {
  spend(state, address, -price.amountCusdc, -price.amountBlind);
}

/** Gives the price of a job back, once. */
export function refund(state: State, job: Job): void {
  if (!job.payment || job.payment.refunded) return;
  job.payment.refunded = true;
  uncharge(state, job.developer, job.payment);
}

function spend(state: State, address: Address, cusdc: bigint, blind: bigint): void {
  const account = accountOf(state, address);
  state.accounts.set(address, {
    ...account,
    cusdc: account.cusdc - cusdc,
    blind: account.blind - blind,
    spentCusdc: account.spentCusdc + cusdc,
    spentBlind: account.spentBlind + blind,
  });
}
