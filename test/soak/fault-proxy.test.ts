import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrng } from "../sim/prng.ts";
import { type Exchange, faultKinds, startFaultProxy } from "./fault-proxy.ts";

const body = JSON.stringify({ text: "an answer that is long enough to be cut in two" });

describe("a fault proxy", () => {
  let server: ReturnType<typeof Bun.serve>;
  let received = 0;

  beforeAll(() => {
    server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        received++;
        const text = await request.text();
        return new Response(text === "" ? body : text, {
          status: 201,
          headers: { "Content-Type": "application/json" },
        });
      },
    });
  });

  afterAll(() => server.stop(true));

  const start = (seed: string, onExchange?: (exchange: Exchange) => void) =>
    startFaultProxy({
      target: `http://127.0.0.1:${server.port}`,
      prng: createPrng(seed),
      maxDelayMs: 5,
      ...(onExchange ? { onExchange } : {}),
    });

  /** What a client sees of one request. */
  const ask = async (url: string): Promise<string> => {
    try {
      const response = await fetch(url, { method: "POST", body });
      return `${response.status} ${await response.text()}`;
    } catch {
      return "broken";
    }
  };

  test("passes requests and answers on unchanged as long as nothing is to go wrong", async () => {
    const seen: Exchange[] = [];
    const proxy = await start("plain", (exchange) => seen.push(exchange));
    const sent = { method: "POST", body: "äöü", headers: { "X-Node-Address": "0xabc", "X-Signature": "0xdef" } };
    const response = await fetch(`${proxy.url}/some/path?with=query`, sent);
    expect([response.status, await response.text()]).toEqual([201, "äöü"]);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(seen).toEqual([
      { method: "POST", path: "/some/path?with=query", node: "0xabc", body: Buffer.from("äöü"), status: 201 },
    ]);
    await proxy.stop();
  });

  test("lets about the share go wrong that it was told, in every way, the same for the same seed", async () => {
    const outcomes: string[][] = [];
    for (let run = 0; run < 2; run++) {
      const proxy = await start("seven");
      proxy.setRate(0.5);
      const before = received;
      const own: string[] = [];
      for (let index = 0; index < 200; index++) own.push(await ask(proxy.url));
      const faults = proxy.faults();
      const total = Object.values(faults).reduce((sum, count) => sum + count, 0);
      expect(proxy.requests()).toBe(200);
      expect(total).toBeGreaterThan(70);
      expect(total).toBeLessThan(130);
      for (const kind of faultKinds) expect(faults[kind]).toBeGreaterThan(0);
      // What is lost on its way back, or cut off, has arrived all the same.
      const unheard = faults.drop + faults["http-500"] + faults["http-429"] + faults.garbage;
      expect(received - before).toBe(200 - unheard);
      expect(own.filter((outcome) => outcome === "broken")).toHaveLength(
        faults.drop + faults["lose-answer"] + faults.half,
      );
      expect(own.filter((outcome) => outcome.startsWith("500 "))).toHaveLength(faults["http-500"]);
      expect(own.filter((outcome) => outcome.startsWith("429 "))).toHaveLength(faults["http-429"]);
      expect(own.filter((outcome) => outcome === `201 ${body}`)).toHaveLength(200 - total + faults.delay);
      outcomes.push(own);
      await proxy.stop();
    }
    expect(outcomes[0]).toEqual(outcomes[1]!);
  });

  test("breaks off while the service itself is away", async () => {
    const proxy = await startFaultProxy({ target: "http://127.0.0.1:9", prng: createPrng("away"), maxDelayMs: 5 });
    expect(await ask(proxy.url)).toBe("broken");
    await proxy.stop();
  });
});
