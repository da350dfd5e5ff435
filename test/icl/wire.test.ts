import { describe, expect, test } from "bun:test";
import type { EncryptedKey } from "../../src/cofhe/cofhe.ts";
import {
  addressSchema,
  assignmentSchema,
  certificateSchema,
  cidSchema,
  claimSchema,
  jobIdSchema,
  jobStatusSchema,
  leaderResultToWire,
  uint256,
} from "../../src/icl/wire.ts";

const max = 2n ** 256n - 1n;
const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

describe("uint256", () => {
  test.each<[unknown, bigint]>([
    [0, 0n],
    [5, 5n],
    ["0", 0n],
    ["8831", 8831n],
    ["0x227f", 8831n],
    [`0x${"f".repeat(64)}`, max],
    [max, max],
    [max.toString(), max],
  ])("%p", (input, value) => {
    expect(uint256.parse(input)).toBe(value);
  });

  test("nothing else", () => {
    const refused = [
      max + 1n,
      (max + 1n).toString(),
      `0x1${"0".repeat(64)}`,
      -1,
      -1n,
      "-1",
      1.5,
      "1.5",
      "1e3",
      "",
      " 1",
      "0x",
      "0xg",
      "12 34",
      null,
      undefined,
      true,
      [],
      {},
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 60,
    ];
    expect(refused.filter((input) => uint256.safeParse(input).success)).toEqual([]);
  });
});

test("an address comes out checksummed, in whatever case it came", () => {
  for (const text of [address, address.toLowerCase(), `0x${address.slice(2).toUpperCase()}`])
    expect(addressSchema.parse(text)).toBe(address);
  for (const text of ["", "0x", address.slice(0, -1), `${address}0`, address.slice(2), "vitalik.eth", null, 5])
    expect(addressSchema.safeParse(text).success).toBe(false);
});

test("identifiers of the network cannot be a path, a query or a second line", () => {
  const hostile = ["", "../../etc", "a/b", "a?b", "a#b", "a%2fb", "a b", "a\nb", "a\u0000b", "é", "x".repeat(257)];
  for (const text of hostile) {
    expect(jobIdSchema.safeParse(text).success).toBe(false);
    expect(cidSchema.safeParse(text).success).toBe(false);
  }
  for (const id of [`0x${"11".repeat(32)}`, "11".repeat(32), "550e8400-e29b-41d4-a716-446655440000"])
    expect(jobIdSchema.parse(id)).toBe(id);
});

test("a leader's commitment is kept as it came, in whatever form", () => {
  const status = { status: "QUEUED", outputCid: "bafyOUT" };
  const lower = "ab".repeat(32);
  for (const leaderCommitment of [lower, lower.toUpperCase(), `0x${lower}`, "x"])
    expect(jobStatusSchema.parse({ ...status, leaderCommitment })).toEqual({ ...status, leaderCommitment });
  for (const leaderCommitment of [5, {}, "", null, undefined])
    expect(jobStatusSchema.parse({ ...status, leaderCommitment })).toEqual({ ...status, leaderCommitment: undefined });
  expect(jobStatusSchema.parse({ status: "QUEUED", outputCid: null })).toEqual({
    status: "QUEUED",
    outputCid: undefined,
    leaderCommitment: undefined,
  });
});

test("the bodies of PROTOCOL.md Appendix A are read", () => {
  const jobId = `0x${"11".repeat(32)}`;
  const assignment = {
    jobId,
    role: "leader",
    modelId: "groq:llama-3.3-70b-versatile",
    promptCid: "bafkreigh2akiscaildc",
    deadline: 1750000700,
    insuranceOptIn: false,
    userAddress: address.toLowerCase(),
    kpHighHandle: "8831",
    kpLowHandle: null,
    permit: null,
  };
  expect(assignmentSchema.parse(assignment)).toEqual({
    jobId,
    role: "leader",
    modelId: "groq:llama-3.3-70b-versatile",
    promptCid: "bafkreigh2akiscaildc",
    userAddress: address,
  });
  const claim = { kpHighHandle: 8831, kpLowHandle: max, outputKeyGranted: true, claimDeadline: 1750000400 };
  expect(claimSchema.parse(claim)).toEqual({ kpHighHandle: 8831n, kpLowHandle: max, claimDeadline: 1750000400 });
  const certificate = { certHash: `0x${"5b".repeat(16)}`, expiry: 1750086400, tier: 0 };
  expect(certificateSchema.parse(certificate)).toEqual(certificate);
});

test("a time that no calendar has is no time", () => {
  for (const expiry of [9_007_199_254_740_991, 1e300, -1, 2n ** 70n, "1750086400"]) {
    expect(certificateSchema.safeParse({ certHash: "0x5b", expiry, tier: 0 }).success).toBe(false);
    expect(claimSchema.safeParse({ kpHighHandle: 1, kpLowHandle: 1, claimDeadline: expiry }).success).toBe(false);
  }
});

test("a leader's result is the body of PROTOCOL.md 4.5 field by field", () => {
  const key: EncryptedKey = {
    high: { ctHash: max, securityZone: 0, utype: 6, signature: "0xaa" },
    low: { ctHash: 666n, securityZone: 0, utype: 6, signature: "0xbb" },
  };
  const wire = leaderResultToWire({
    jobId: `0x${"11".repeat(32)}`,
    outputCid: "bafyOUT",
    commitment: "26a3".repeat(16),
    encryptedKey: key,
    outputKeyStoreTx: `0x${"22".repeat(32)}`,
  });
  const maxText = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
  expect(JSON.parse(JSON.stringify(wire))).toEqual({
    jobId: "0x1111111111111111111111111111111111111111111111111111111111111111",
    output_cid: "bafyOUT",
    commitment_hash: "26a326a326a326a326a326a326a326a326a326a326a326a326a326a326a326a3",
    encrypted_output_key_high: maxText,
    encrypted_output_key_low: "666",
    encrypted_output_key_inputs: {
      high: { ctHash: maxText, securityZone: 0, utype: 6, signature: "0xaa" },
      low: { ctHash: "666", securityZone: 0, utype: 6, signature: "0xbb" },
    },
    output_key_store_tx: "0x2222222222222222222222222222222222222222222222222222222222222222",
  });
});
