import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { password } from "./node-directory.ts";

/** An initialised node with this key and configuration; its keystore opens at once, without scrypt's second. */
export async function keystoreDirectory(key: Secret<`0x${string}`>, config: Record<string, unknown> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "blf-node-"));
  const { address } = walletFromPrivateKey(key);
  const keystore = await encryptKeystore(key, new Secret(password), { scryptN: 2 });
  writeFileSync(join(dir, "config.json"), JSON.stringify({ node_address: address, ...config }), { mode: 0o600 });
  writeFileSync(join(dir, "keystore.json"), keystore, { mode: 0o600 });
  return {
    dir,
    unlocked: { BLF_CONFIG_DIR: dir, BLF_KEY_PASSWORD: password },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}
