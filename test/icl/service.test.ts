import { expect, test } from "bun:test";
import { z } from "zod";
import { createJsonService } from "../../src/icl/service.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { serve, stalledBody } from "../ipfs/support.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";

test("a slow service runs into its timeout, twice", async () => {
  using server = serve(() => new Response(stalledBody()));
  const service = createJsonService({
    fetch,
    clock: jumpingClock(),
    baseUrl: server.url,
    service: { prefix: "ICL", name: "The coordinator (ICL)", hint: "Check icl_endpoint." },
    timeoutMs: 100,
  });
  const error = await expectCode(() => service.get("/slow", z.unknown()), "ICL_TIMEOUT");
  expect(error.retryable).toBe(true);
  expect(server.requests).toHaveLength(2);
});

test("big integers go out exact", async () => {
  using server = serve(() => Response.json({}));
  const service = createJsonService({
    fetch,
    clock: jumpingClock(),
    baseUrl: server.url,
    service: { prefix: "X", name: "X", hint: "x" },
  });
  await service.post("/", z.unknown(), { body: { handle: 2n ** 256n - 1n } });
  expect(await server.requests[0]!.text()).toBe(
    '{"handle":115792089237316195423570985008687907853269984665640564039457584007913129639935}',
  );
});
