import type { Hex } from "viem";
import type { KeyHalves } from "../crypto/key-halves.ts";

/**
 * One encrypted value, as a contract takes it: the tuple `InEuint128` (PROTOCOL.md 2.3).
 * The signature binds the wallet that encrypted it: no other wallet may submit it.
 */
export type EncryptedInput = { ctHash: bigint; securityZone: number; utype: number; signature: Hex };

/** Both halves of a key, encrypted. */
export type EncryptedKey = { high: EncryptedInput; low: EncryptedInput };

/** The on-chain handles of a key's two halves: integers up to 2^256 (PROTOCOL.md 2.4). */
export type KeyHandles = { high: bigint; low: bigint };

/** What the program needs of CoFHE, free of any library's types so that another version of CoFHE can take its place. */
export type Cofhe = {
  /**
   * Decrypts both halves of a key at once, with a self permit (PROTOCOL.md 2.5). A refusal is tried again for a while,
   * since the network's access list lags behind the chain.
   * @throws BlfError `COFHE_HANDLE_ZERO`, `COFHE_HANDLE_INVALID`, `COFHE_NOT_ALLOWED`, `COFHE_HANDLE_UNKNOWN`,
   * `COFHE_PERMIT_FAILED`, `COFHE_ANSWER_INVALID`, `COFHE_WRONG_CHAIN`, `COFHE_NOT_DEPLOYED`, `COFHE_CLOSED`; retryable: `COFHE_UNAVAILABLE`,
   * `COFHE_RPC_UNREACHABLE`, `COFHE_TIMEOUT`; the signal's reason when aborted.
   */
  decryptKey(handles: KeyHandles, signal: AbortSignal): Promise<KeyHalves>;
  /**
   * Encrypts up to `maxKeysPerProof` keys for this wallet, in the order given. One proof costs the same for one as for
   * all of them: about 20 s of one CPU core outside a devnet.
   * @throws BlfError `COFHE_INPUT_INVALID`, `COFHE_WRONG_CHAIN`, `COFHE_NOT_DEPLOYED`, `COFHE_CLOSED`; retryable: `COFHE_PROVER_FAILED`,
   * `COFHE_KEYS_UNAVAILABLE`, `COFHE_KEYS_INVALID`, `COFHE_VERIFIER_FAILED`, `COFHE_RPC_UNREACHABLE`, `COFHE_TIMEOUT`; the
   * signal's reason when aborted.
   */
  encryptKeys(keys: KeyHalves[], signal: AbortSignal): Promise<EncryptedKey[]>;
  maxKeysPerProof: number;
  /** Ends all that is under way with `COFHE_CLOSED` and forgets permit and keys. */
  close(): Promise<void>;
};

/** The FHE type of a key half: uint128 (PROTOCOL.md 2.2). */
export const uint128Type = 6;

/** A proof holds 2048 bits, which is the size of eight keys. */
export const keysPerProof = 8;
