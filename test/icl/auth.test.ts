import { expect, test } from "bun:test";
import { recoverMessageAddress } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { authenticationHeaders } from "../../src/icl/auth.ts";
import { stringifyJson } from "../../src/lib/json.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";

/** The public test key of PROTOCOL.md 2.10. */
const account = privateKeyToAccount("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
const clock = jumpingClock(1_750_000_000_999);

test.each([
  [
    "a GET",
    "",
    "0xbcd85a436178eca8638f6660bdf85f8a2475b3f2d4a5532a3eb64949195c14d0334e70bbf02c0e7d8df3845fe9a51a68d8762d19900a543b112bb491511fff211c",
  ],
  [
    "a claim in Python's spacing",
    `{"jobId": "0x${"11".repeat(32)}", "nodeAddress": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"}`,
    "0x3ce0bc7d8beebcf73ad6c8409ffef009251cf830ca6f298be514d03adc9d1c7f3ae06275ac32980a0c4f5c390e3263046d5e811aca8410c73bbd4b704dae38361b",
  ],
  [
    "a heartbeat in Python's spacing",
    '{"nodeAddress": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "timestamp": "1750000000"}',
    "0x52dffc4ea3c5100e50ee65be1d130ffeef2c2b34d7aefc3265778f71cc8a683a2f700acfa953f97a27e8282e8789a65405d24312c4e7cddda616ff5a962781f51b",
  ],
])("the headers of %s are those of PROTOCOL.md 2.10", async (_name, body, signature) => {
  expect(await authenticationHeaders(account, clock, body)).toEqual({
    "X-Node-Address": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "X-Timestamp": "1750000000",
    "X-Signature": signature,
    "Content-Type": "application/json",
  });
});

test("the signature is over exactly the text that is sent, other scripts included", async () => {
  const body = stringifyJson({ model: "modèle 世界 🙂", handle: 2n ** 256n - 1n });
  const headers = await authenticationHeaders(account, clock, body);
  const signature = headers["X-Signature"] as `0x${string}`;
  expect(await recoverMessageAddress({ message: `${body}1750000000`, signature })).toBe(account.address);
  expect(await recoverMessageAddress({ message: `${body} 1750000000`, signature })).not.toBe(account.address);
});
