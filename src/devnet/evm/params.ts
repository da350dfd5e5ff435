import { type Address, getAddress, type Hex } from "viem";
import * as z from "zod";
import { invalidParams } from "./rpc-error.ts";

export const bytes = z.string().regex(/^0x(?:[0-9a-fA-F]{2})*$/, "hex bytes expected") as unknown as z.ZodType<Hex>;

export const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, "32 hex bytes expected")
  .transform((value) => value.toLowerCase() as Hex);

/** Any spelling of an address; the checksummed one comes out. */
export const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, "an address expected")
  .transform((value): Address => getAddress(value.toLowerCase()));

export const quantity = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/, "a hex quantity expected")
  .transform((value) => BigInt(value));

/** Seconds or a count; test clients send it as a number or as a quantity. */
export const amount = z.union([z.number().int().nonnegative().transform(BigInt), quantity]);

const blockName = z.enum(["latest", "pending", "safe", "finalized", "earliest"]);

export const blockTag = z.union([
  blockName,
  quantity,
  z.object({ blockNumber: quantity }).transform(({ blockNumber }) => blockNumber),
  z.object({ blockHash: hash }),
]);
export type BlockTag = z.output<typeof blockTag>;

const accessList = z.array(z.object({ address, storageKeys: z.array(hash) }));

/** A call, or a transaction that is not signed. */
export const callRequest = z
  .object({
    from: address,
    to: address.nullable(),
    gas: quantity,
    gasPrice: quantity,
    maxFeePerGas: quantity,
    maxPriorityFeePerGas: quantity,
    value: quantity,
    data: bytes,
    input: bytes,
    nonce: quantity,
    accessList,
  })
  .partial()
  .transform(({ data, input, to, ...rest }) => ({ ...rest, to: to ?? undefined, data: input ?? data ?? "0x" }));
export type CallRequest = z.output<typeof callRequest>;

/** The part of a request that a transaction takes over as it is. */
export function transactionFields({ to, value = 0n, data, accessList = [] }: CallRequest) {
  return { ...(to && { to }), value, data, accessList };
}

const oneOrMany = <T extends z.ZodType>(item: T) => z.union([item.transform((value) => [value]), z.array(item)]);

export const logFilter = z.object({
  address: oneOrMany(address).nullish(),
  topics: z.array(oneOrMany(hash).nullable()).max(4).default([]),
  fromBlock: blockTag.nullish(),
  toBlock: blockTag.nullish(),
  blockHash: hash.optional(),
});
export type LogFilter = z.output<typeof logFilter>;

/**
 * The positional parameters of a method. Missing ones are undefined; superfluous ones are an error.
 * @throws RpcError -32602
 */
export function parseParams<const T extends readonly z.ZodType[]>(
  schemas: T,
  params: unknown[],
): { [index in keyof T]: z.output<T[index]> } {
  if (params.length > schemas.length)
    throw invalidParams(`too many arguments, want at most ${schemas.length}, got ${params.length}`);
  const values = schemas.map((schema, index) => {
    const result = schema.safeParse(params[index]);
    if (result.success) return result.data;
    const issue = result.error.issues[0];
    const where = [index, ...(issue?.path ?? [])].join(".");
    throw invalidParams(`invalid argument ${where}: ${issue?.message ?? "not understood"}`);
  });
  return values as { [index in keyof T]: z.output<T[index]> };
}
