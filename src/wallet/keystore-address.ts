import { type Address, getAddress } from "viem";
import { corrupt } from "./keystore.ts";
import { readKeystore } from "./keystore-file.ts";

/**
 * The address that a keystore says it holds, checksummed; undefined when it does not say. It is proven only by opening the file.
 * @throws BlfError `KEYSTORE_NOT_FOUND`, `KEYSTORE_CORRUPT`, `FILE_*`
 */
export function keystoreAddress(path: string): Address | undefined {
  const address = parse(readKeystore(path))?.["address"];
  if (address === undefined || address === "") return undefined;
  const digits = typeof address === "string" ? /^(?:0x)?([0-9a-fA-F]{40})$/.exec(address)?.[1] : undefined;
  if (digits === undefined) throw corrupt("its address is not an address");
  return getAddress(`0x${digits.toLowerCase()}`);
}

function parse(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    throw corrupt("it is not JSON");
  }
}
