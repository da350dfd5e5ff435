import { MOCKS_ZK_VERIFIER_SIGNER_PRIVATE_KEY, TASK_MANAGER_ADDRESS } from "@cofhe/sdk";
import { type Permission, SealingKey } from "@cofhe/sdk/permits";
import { type Abi, createPublicClient, encodePacked, type Hex, http, keccak256, toHex } from "viem";
import { sign } from "viem/accounts";
import type { CofheServices } from "../../src/cofhe/session.ts";
import taskManager from "../../src/devnet/contracts/artifacts/CofheTaskManager.json";

type Route = "/GetNetworkPublicKey" | "/GetCrs" | "/verify" | "submit" | "poll";

export type FakeServices = {
  services: CofheServices;
  /** Every request so far, as its route. */
  requests: Route[];
  /** The body of the last request for a verification. */
  lastVerify: { packed_list: string } | undefined;
  /** A proof hides its values, so a test says what the next ones hold. */
  expect(values: bigint[]): void;
  /** What a route answers instead, as long as it gives an answer. A promise that stays open is a service that hangs. */
  faults: Partial<Record<Route, () => Response | Promise<Response> | undefined>>;
  /** How often the threshold network says PROCESSING before it answers. */
  processing: number;
  close(): void;
};

type SealRequest = { ct_tempkey: string; host_chain_id: number; permit: Permission };
type VerifyRequest = { packed_list: string; account_addr: Hex; security_zone: number; chain_id: number };

/**
 * CoFHE's services as the SDK speaks to them on a real chain: keys, verifier, and threshold network v2. Permits and the
 * access list are checked by the task manager on `rpcUrl`; what is fake is that proofs are taken on trust.
 */
export function startFakeServices(options: { rpcUrl: string; publicKey: string; crs: string }): FakeServices {
  const chain = createPublicClient({ transport: http(options.rpcUrl) });
  const plaintexts = new Map<bigint, bigint>();
  const submitted = new Map<string, { request: SealRequest; left: number }>();
  let expected: bigint[] = [];

  const verify = async (body: VerifyRequest): Promise<Response> => {
    if (!/^[0-9a-f]+$/.test(body.packed_list))
      return Response.json({ status: "error", error: "empty list", data: null }, { status: 400 });
    const inputs = expected.map(async (value, index) => {
      const list = toHex(body.packed_list.slice(-512));
      const bits = BigInt(keccak256(encodePacked(["bytes", "uint256", "uint256"], [list, BigInt(index), value])));
      const handle = (bits & ~0xffffn) | (6n << 8n) | BigInt(body.security_zone);
      plaintexts.set(handle, value);
      const types = ["uint256", "uint8", "uint8", "address", "uint256"] as const;
      const bound = [handle, 6, body.security_zone, body.account_addr, BigInt(body.chain_id)] as const;
      const hash = keccak256(encodePacked(types, bound));
      const { r, s, yParity } = await sign({ hash, privateKey: MOCKS_ZK_VERIFIER_SIGNER_PRIVATE_KEY });
      return { ct_hash: handle.toString(), signature: r + s.slice(2), recid: yParity };
    });
    return Response.json({ status: "success", data: await Promise.all(inputs), error: "" });
  };

  const isAllowed = (permit: Permission, handle: bigint) =>
    chain.readContract({
      address: TASK_MANAGER_ADDRESS,
      abi: taskManager.abi as Abi,
      functionName: "isAllowedWithPermission",
      args: [{ ...permit, expiration: BigInt(permit.expiration), validatorId: BigInt(permit.validatorId) }, handle],
    });

  const seal = async ({ ct_tempkey, permit }: SealRequest): Promise<object> => {
    const handle = BigInt(`0x${ct_tempkey}`);
    const allowed = await isAllowed(permit, handle).catch(() => false);
    if (!allowed) return { is_succeed: false, error_message: "NotAllowed" };
    const sealed = SealingKey.seal(plaintexts.get(handle) ?? 0n, permit.sealingKey.slice(2));
    const bytes = { data: [...sealed.data], public_key: [...sealed.public_key], nonce: [...sealed.nonce] };
    return { is_succeed: true, sealed: bytes };
  };

  const answer = async (route: Route, request: Request): Promise<Response> => {
    if (route === "/GetNetworkPublicKey") return Response.json({ publicKey: options.publicKey });
    if (route === "/GetCrs") return Response.json({ crs: options.crs });
    if (route === "/verify") {
      fake.lastVerify = (await request.json()) as VerifyRequest;
      return verify(fake.lastVerify as VerifyRequest);
    }
    if (route === "submit") {
      const request_id = crypto.randomUUID();
      submitted.set(request_id, { request: (await request.json()) as SealRequest, left: fake.processing });
      return Response.json({ request_id, status: "PROCESSING" });
    }
    const request_id = new URL(request.url).pathname.split("/").at(-1)!;
    const known = submitted.get(request_id);
    if (!known) return Response.json({ error_message: "not found" }, { status: 404 });
    const submitted_at = new Date().toISOString();
    if (known.left-- > 0) return Response.json({ request_id, status: "PROCESSING", submitted_at });
    return Response.json({ request_id, status: "COMPLETED", submitted_at, ...(await seal(known.request)) });
  };

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      const sealing = pathname.startsWith("/v2/sealoutput");
      const route = (sealing ? (request.method === "POST" ? "submit" : "poll") : pathname) as Route;
      fake.requests.push(route);
      return (await fake.faults[route]?.()) ?? answer(route, request);
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  const fake: FakeServices = {
    services: { coFheUrl: url, verifierUrl: url, thresholdNetworkUrl: url },
    requests: [],
    lastVerify: undefined,
    expect: (values) => {
      expected = values;
    },
    faults: {},
    processing: 0,
    close: () => server.stop(true),
  };
  return fake;
}
