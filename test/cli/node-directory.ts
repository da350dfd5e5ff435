import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";

/** The public test key of PROTOCOL.md 2.10. */
export const privateKey = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
export const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
export const password = "correct horse battery";

/** Opens at once, so that a test of something else does not wait for scrypt. */
const keystore = await encryptKeystore(new Secret(privateKey), new Secret(password), { scryptN: 2 });
const contract = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

/** An initialised node whose network is not there: every endpoint is a port on which nobody listens. */
export function nodeDirectory(config: Record<string, unknown> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "blf-node-"));
  const nowhere = "http://127.0.0.1:1";
  const values = {
    node_address: address,
    network: "devnet",
    rpc_url: nowhere,
    icl_endpoint: nowhere,
    payment_service_url: nowhere,
    ipfs_gateway: nowhere,
    ipfs_gateways: [],
    staking_address: contract,
    blind_token_address: contract,
    node_registry_address: contract,
    prompt_key_store_address: contract,
    status_port: 0,
    ...config,
  };
  writeFileSync(join(dir, "config.json"), JSON.stringify(values), { mode: 0o600 });
  writeFileSync(join(dir, "keystore.json"), keystore, { mode: 0o600 });
  return {
    dir,
    env: { BLF_CONFIG_DIR: dir },
    unlocked: { BLF_CONFIG_DIR: dir, BLF_KEY_PASSWORD: password },
    write: (name: string, content: string | Uint8Array) => writeFileSync(join(dir, name), content),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

export function emptyDirectory() {
  const dir = mkdtempSync(join(tmpdir(), "blf-empty-"));
  return {
    dir,
    env: { BLF_CONFIG_DIR: join(dir, "node") },
    path: join(dir, "node"),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}
