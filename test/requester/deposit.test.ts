import { expect, test } from "bun:test";
import { BlfError } from "../../src/lib/errors.ts";
import { deposit } from "../../src/requester/deposit.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { leader, requesterAmong, strangerA } from "./network.ts";

const hash = `0x${"ab".repeat(32)}`;

async function depositWith(credit: (hash: string) => Promise<void>) {
  const { ctx, sent } = await requesterAmong({ client: { deposit: credit } });
  const { signal } = new AbortController();
  const run = () =>
    deposit({
      client: ctx.client,
      sender: ctx.sender,
      blind: strangerA,
      treasury: leader,
      amount: 5n,
      id: "d",
      signal,
    });
  return { run, sent };
}

test("the transfer is shown to the payment service", async () => {
  const shown: string[] = [];
  const { run, sent } = await depositWith(async (tx) => void shown.push(tx));
  await run();
  expect(shown).toEqual([hash]);
  expect(sent.map(({ purpose }) => purpose)).toEqual(["deposit:d"]);
});

test("a refused credit is not the end: the BLIND is gone, so the same deposit can be gone on with", async () => {
  const refused = new BlfError({ code: "PAYMENT_REJECTED", message: "unknown transaction", hint: "check" });
  const { run } = await depositWith(() => Promise.reject(refused));
  const error = await expectCode(run, "DEPOSIT_NOT_CREDITED");
  expect([error.retryable, error.exitCode, error.cause]).toEqual([true, 75, refused]);
  expect(error.message).toBe(`The BLIND was sent (${hash}), but not credited: unknown transaction`);
});

test("a service that is away says so itself", async () => {
  const away = new BlfError({ code: "PAYMENT_UNREACHABLE", message: "away", hint: "wait", retryable: true });
  const { run } = await depositWith(() => Promise.reject(away));
  await expect(run()).rejects.toBe(away);
});
