import { Hono } from "hono";
import { type Address, getAddress, isAddress } from "viem";
import { accountOf, credit, packages } from "../accounts.ts";
import type { Context } from "../context.ts";
import type { BlindTransfer } from "../coordinator-chain.ts";
import { answer, type Env, parseTyped, RequestError, readJsonBody } from "../http.ts";
import { depositSchema, purchaseSchema } from "../schemas.ts";
import { balanceView, packageViews } from "../views.ts";

/** Health, balances, deposits and packages of the payment service (PROTOCOL.md 8). */
export function creditRoutes(ctx: Context): Hono<Env> {
  const { state, limits } = ctx;
  const app = new Hono<Env>();

  app.get("/health", async (c) => {
    const connected = await ctx.chain.isConnected();
    return answer(c, {
      status: connected ? "ok" : "degraded",
      database_connected: true,
      chain_connected: connected,
      staking_reachable: connected,
    });
  });

  app.get("/v1/balance/:address", (c) => {
    const address = pathAddress(c.req.param("address"));
    return answer(c, balanceView(address, accountOf(state, address)));
  });

  app.post("/v1/deposit", async (c) => {
    const { tx_hash } = parseTyped(depositSchema, await readJsonBody(c, limits.bodyBytes), "body");
    const payment = await takePayment(ctx, tx_hash as `0x${string}`);
    credit(state, payment.from, { blind: payment.value });
    return answer(c, { status: "credited", tx_hash, ...balanceView(payment.from, accountOf(state, payment.from)) });
  });

  app.get("/v1/credits/packages", (c) => answer(c, { packages: packageViews() }));

  app.post("/v1/credits/purchase-package", async (c) => {
    const body = parseTyped(purchaseSchema, await readJsonBody(c, limits.bodyBytes), "body");
    const bought = packages.find(({ id }) => id === body.package_id);
    if (!bought) throw new RequestError(404, `package '${body.package_id.slice(0, 40)}' not found`);
    const payment = await takePayment(ctx, body.tx_hash as `0x${string}`, bought.price);
    credit(state, payment.from, { cusdc: bought.credits });
    return answer(c, {
      status: "success",
      package_id: bought.id,
      credits_awarded_cusdc: bought.credits.toString(),
      tx_hash: body.tx_hash,
      ...balanceView(payment.from, accountOf(state, payment.from)),
    });
  });

  return app;
}

/**
 * An address in a path.
 * @throws RequestError 400
 */
export function pathAddress(text: string): Address {
  if (!isAddress(text, { strict: false })) throw new RequestError(400, `invalid address: ${text.slice(0, 100)}`);
  return getAddress(text);
}

/**
 * What a transaction paid to the treasury; each transaction counts once, for a deposit or for a package.
 * @param exactly the amount that it must have paid, in wei of BLIND
 * @throws RequestError 400, 409
 */
async function takePayment(ctx: Context, tx: `0x${string}`, exactly?: bigint): Promise<BlindTransfer> {
  const { creditedTransactions } = ctx.state;
  if (creditedTransactions.has(tx)) throw new RequestError(409, `transaction ${tx} was already credited`);
  // Taken before the chain is asked, so that two requests at the same time cannot both be credited.
  creditedTransactions.add(tx);
  try {
    const transfers = (await ctx.chain.getTransfers(tx)).filter(({ to }) => to === ctx.chain.treasury);
    const [payment] = transfers;
    if (!payment || payment.value === 0n)
      throw new RequestError(400, `transaction ${tx} holds no confirmed BLIND transfer to ${ctx.chain.treasury}`);
    if (transfers.length > 1) throw new RequestError(400, `transaction ${tx} holds more than one transfer`);
    if (exactly !== undefined && payment.value !== exactly)
      throw new RequestError(400, `transaction ${tx} paid ${payment.value} wei of BLIND, the package costs ${exactly}`);
    return payment;
  } catch (error) {
    creditedTransactions.delete(tx);
    throw error;
  }
}
