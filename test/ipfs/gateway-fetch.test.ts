import { describe, expect, test } from "bun:test";
import { createGatewayFetches, type GatewayFetchOptions } from "../../src/ipfs/gateway-fetch.ts";
import { expectCode } from "../crypto/expect-code.ts";

/** Fetches whose ordinary connections are only noted. Nothing here connects to anywhere. */
function fetches(addresses: Record<string, string[]>, options: Partial<GatewayFetchOptions> = {}) {
  const ordinary: string[] = [];
  const made = createGatewayFetches({
    fetch: async (url) => {
      ordinary.push(url);
      return new Response("ordinary");
    },
    resolve: async (name) => addresses[name] ?? [],
    ...options,
  });
  return { ...made, ordinary };
}

describe("a gateway", () => {
  test.each([
    "http://127.0.0.1:8080/ipfs/x",
    "http://localhost:8080/ipfs/x",
    "http://[::1]:8080/ipfs/x",
    "https://192.168.1.5/ipfs/x",
    "https://[fd12::1]/ipfs/x",
  ])("that the operator gave as an address is used as it is: %s", async (url) => {
    const { fetch, ordinary } = fetches({});
    await fetch(url);
    expect(ordinary).toEqual([url]);
  });

  test.each([
    "127.0.0.1",
    "::1",
    "0.0.0.0",
    "169.254.169.254",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "224.0.0.1",
  ])("whose name leads to %s is not asked", async (address) => {
    const { fetch, ordinary } = fetches({ "gw.example": ["93.184.216.34", address] });
    const error = await expectCode(() => fetch("https://gw.example/ipfs/x"), "IPFS_GATEWAY_REFUSED");
    expect([error.message, ordinary]).toEqual(["The name of the IPFS gateway leads to this machine or its link", []]);
  });

  test("is asked through the proxy where there is one, which alone knows the addresses", async () => {
    const { fetch, ordinary } = fetches({}, { hasProxy: true });
    await fetch("https://gw.example/ipfs/x");
    expect(ordinary).toEqual(["https://gw.example/ipfs/x"]);
  });
});

describe("where a gateway redirects to", () => {
  test.each([
    "10.0.0.1",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
  ])("is not %s, with a proxy or without", async (address) => {
    for (const hasProxy of [false, true]) {
      const { redirectFetch, ordinary } = fetches({ "x.example": [address] }, { hasProxy });
      await expectCode(() => redirectFetch("https://x.example/"), "IPFS_REDIRECT_REFUSED");
      expect(ordinary).toEqual([]);
    }
  });

  test("may be this machine, when the redirect itself was allowed", async () => {
    const { redirectFetch, ordinary } = fetches({});
    await redirectFetch("http://127.0.0.1:9/x");
    expect(ordinary).toEqual(["http://127.0.0.1:9/x"]);
  });

  test("is reached through the proxy where there is one", async () => {
    const { redirectFetch, ordinary } = fetches({ "x.example": ["93.184.216.34"] }, { hasProxy: true });
    await redirectFetch("https://x.example/");
    expect(ordinary).toEqual(["https://x.example/"]);
  });
});
