import { BlfError } from "../../lib/errors.ts";
import { httpRequest, safeOrigin } from "../../lib/http.ts";
import { type Check, failed, notChecked, ok, warning } from "../check.ts";
import type { DoctorContext } from "../context.ts";

const devnetChainId = 31_337;

/** Where CoFHE's stand-ins are on a devnet: task manager, verifier, threshold network. The SDK has them as constants. */
export const cofheStandIns = [
  "0xeA30c4B8b44078Bbf8a6ef5b9f1eC1626C7848D9",
  "0x0000000000000000000000000000000000005001",
  "0x0000000000000000000000000000000000005002",
] as const;

export const paymentCheck: Check = {
  id: "payment",
  title: "payment service",
  needs: "config",
  async run(ctx) {
    const remedy = "Check the network and `blindference config get payment_service_url`; rewards are paid by it.";
    const reason = await unreachable(
      ctx,
      `${ctx.config.payment_service_url}/v1/credits/packages`,
      (status) => status === 200,
    );
    return [reason === undefined ? ok(this, "answers") : warning(this, reason, remedy)];
  },
};

export const cofheCheck: Check = {
  id: "cofhe",
  title: "CoFHE",
  needs: "config",
  async run(ctx) {
    const { unusable } = await ctx.rpc();
    if (unusable) return [notChecked(this, unusable)];
    if (ctx.chain.chainId === devnetChainId) {
      const codes = await Promise.all(cofheStandIns.map((address) => ctx.chain.client.getCode({ address })));
      const missing = cofheStandIns.filter((_, index) => codes[index] === undefined);
      if (missing.length === 0) return [ok(this, "its stand-ins are on this devnet")];
      const remedy = "Use a chain that `blindference devnet` has started.";
      return [failed(this, `there is no contract at ${missing.join(", ")}`, remedy)];
    }
    const { arbSepolia } = await import("@cofhe/sdk/chains");
    const urls = [arbSepolia.coFheUrl, arbSepolia.verifierUrl, arbSepolia.thresholdNetworkUrl];
    // They have no question that costs nothing: any answer, even a refusal, says that they are there.
    const reasons = await Promise.all(urls.map((url) => unreachable(ctx, url, (status) => status < 500)));
    const reason = reasons.find((text) => text !== undefined);
    if (reason === undefined) return [ok(this, "its three services answer")];
    return [
      failed(this, reason, "Check the network and Fhenix' status page; without CoFHE no prompt can be decrypted."),
    ];
  },
};

/** Why a service cannot be used, or undefined when it answers with a status that will do. */
async function unreachable(
  ctx: DoctorContext,
  url: string,
  willDo: (status: number) => boolean,
): Promise<string | undefined> {
  const service = { prefix: "SERVICE", name: "The service", hint: "" };
  try {
    const response = await httpRequest(ctx.fetch, service, url, {
      timeoutMs: 4000,
      maxBytes: 1_000_000,
      signal: ctx.signal,
    });
    return willDo(response.status) ? undefined : `${safeOrigin(url)} answers with HTTP ${response.status}`;
  } catch (error) {
    if (error instanceof BlfError) return error.message;
    throw error;
  }
}
