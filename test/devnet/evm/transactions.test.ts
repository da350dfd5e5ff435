import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Address, encodeErrorResult, type Hex, parseEther, parseGwei } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { startTestEvm } from "./chain.ts";

const key = generatePrivateKey();
const unlocked = privateKeyToAccount(key).address;

const message = encodeErrorResult({
  abi: [{ type: "error", name: "Error", inputs: [{ name: "reason", type: "string" }] }],
  errorName: "Error",
  args: ["no luck"],
});

/** Runtime code that reverts with the bytes that follow it: CODECOPY, REVERT. */
const reverting: Address = "0x00000000000000000000000000000000000000bb";
const length = (message.length - 2) / 2;
const revertCode = `0x60${length.toString(16)}600b5f3960${length.toString(16)}5ffd00${message.slice(2)}` as Hex;
/** JUMPDEST, PUSH0, JUMP. */
const endless: Address = "0x00000000000000000000000000000000000000cc";
/** SELFBALANCE, store and return it; a call with value shows what arrived. */
const counting: Address = "0x00000000000000000000000000000000000000dd";

describe("transactions", () => {
  let chain: Awaited<ReturnType<typeof startTestEvm>>;
  beforeAll(async () => {
    chain = await startTestEvm({
      [unlocked]: { balance: parseEther("1"), privateKey: key },
      [reverting]: { code: revertCode },
      [endless]: { code: "0x5b5f56" },
      [counting]: { code: "0x475f5260205ff3" },
    });
  });
  afterAll(() => chain.evm.stop());

  const fees = {
    maxFeePerGas: parseGwei("1"),
    maxPriorityFeePerGas: 0n,
    gas: 21_000n,
    chainId: 31337,
    type: "eip1559",
  } as const;
  const sendRaw = async (change: object) => {
    const nonce = await chain.client.getTransactionCount(chain.alice);
    const raw = await chain.alice.signTransaction({ ...fees, to: chain.bob.address, nonce, ...change });
    return chain.rpc("eth_sendRawTransaction", raw);
  };

  test("what a node would not take is refused in geth's words, and nothing changes", async () => {
    const before = await chain.client.getTransactionCount(chain.alice);
    const cases: [object, string][] = [
      [{ nonce: before + 1 }, "nonce too high"],
      [{ value: parseEther("101") }, "insufficient funds for gas * price + value"],
      [{ maxFeePerGas: 1n }, "max fee per gas less than block base fee"],
      [{ gas: 20_999n }, "intrinsic gas too low"],
      [{ gas: 60_000_001n }, "exceeds block gas limit"],
      [{ chainId: 1 }, "invalid chain id for signer"],
      [
        {
          type: "legacy",
          chainId: undefined,
          gasPrice: parseGwei("1"),
          maxFeePerGas: undefined,
          maxPriorityFeePerGas: undefined,
        },
        "replay-protected",
      ],
    ];
    for (const [change, words] of cases) {
      const { error } = await sendRaw(change);
      expect(error).toEqual({ code: -32000, message: expect.stringContaining(words) });
    }
    expect((await chain.rpc("eth_sendRawTransaction", "0x02c0")).error?.code).toBe(-32000);
    expect((await chain.rpc("eth_sendRawTransaction", "0x03c0")).error?.message).toContain("not supported");
    expect(await chain.client.getTransactionCount(chain.alice)).toBe(before);
  });

  test("viem knows the errors by their words", async () => {
    const wallet = chain.wallet();
    const nonce = await chain.client.getTransactionCount(chain.alice);
    const nameOf = (action: Promise<unknown>) =>
      action.then(
        () => "no error",
        (error: { cause?: { name?: string } }) => error.cause?.name,
      );
    const to = chain.bob.address;
    expect(await nameOf(wallet.sendTransaction({ to, nonce: nonce + 3, gas: 21_000n }))).toBe("NonceTooHighError");
    expect(await nameOf(wallet.sendTransaction({ to, gas: 20_000n }))).toBe("IntrinsicGasTooLowError");
    expect(await nameOf(wallet.sendTransaction({ to, gas: 21_000n, maxFeePerGas: 1n, maxPriorityFeePerGas: 0n }))).toBe(
      "FeeCapTooLowError",
    );
    expect(await nameOf(wallet.sendTransaction({ to, value: parseEther("1000") }))).toBe("InsufficientFundsError");
  });

  test("the same transaction twice is a used nonce", async () => {
    const nonce = await chain.client.getTransactionCount(chain.alice);
    const raw = await chain.alice.signTransaction({ ...fees, to: chain.bob.address, nonce });
    expect((await chain.rpc("eth_sendRawTransaction", raw)).error).toBeUndefined();
    expect((await chain.rpc("eth_sendRawTransaction", raw)).error?.message).toContain("nonce too low");
  });

  test("a revert carries its data and its reason, in a call and in an estimate", async () => {
    const expected = { code: 3, message: "execution reverted: no luck", data: message };
    expect((await chain.rpc("eth_call", { to: reverting })).error).toEqual(expected);
    expect((await chain.rpc("eth_estimateGas", { to: reverting })).error).toEqual(expected);
  });

  test("an endless loop ends, and leaves the chain as it was", async () => {
    expect((await chain.rpc("eth_call", { to: endless, gas: "0x186a0" })).error).toEqual({
      code: -32000,
      message: "out of gas",
    });
    const estimate = await chain.rpc("eth_estimateGas", { to: endless, gas: "0x186a0" });
    expect(estimate.error?.message).toBe("gas required exceeds allowance (100000)");
    const hash = await chain.wallet().sendTransaction({ to: endless, gas: 100_000n });
    const receipt = await chain.client.getTransactionReceipt({ hash });
    expect(receipt).toMatchObject({ status: "reverted", gasUsed: 100_000n });
  });

  test("calls and estimates change nothing, not even what they send", async () => {
    const value = "0x5";
    const from = chain.alice.address;
    const root = (await chain.client.getBlock()).stateRoot;
    const balance = await chain.client.getBalance(chain.alice);
    expect((await chain.rpc("eth_call", { from, to: counting, value })).result).toBe(`0x${"5".padStart(64, "0")}`);
    expect((await chain.rpc("eth_estimateGas", { from, to: counting, value })).error).toBeUndefined();
    expect((await chain.rpc("eth_call", { from: reverting, to: counting, value })).error?.message).toContain(
      "insufficient funds",
    );
    expect(await chain.client.getBalance(chain.alice)).toBe(balance);
    expect(await chain.client.getBalance({ address: counting })).toBe(0n);
    await chain.test.mine({ blocks: 1 });
    expect((await chain.client.getBlock()).stateRoot).toBe(root);
  });

  test("many who send through an unlocked account at once get nonces of their own", async () => {
    const transfer = () => chain.rpc("eth_sendTransaction", { from: unlocked, to: chain.bob.address, value: "0x1" });
    const answers = await Promise.all(Array.from({ length: 12 }, transfer));
    expect(answers.map(({ error }) => error)).toEqual(Array(12).fill(undefined));
    expect(new Set(answers.map(({ result }) => result)).size).toBe(12);
    expect(await chain.client.getTransactionCount({ address: unlocked })).toBe(12);
    const stranger = await chain.rpc("eth_sendTransaction", { from: chain.alice.address, to: chain.bob.address });
    expect(stranger.error).toEqual({ code: -32000, message: "unknown account" });
    expect((await chain.rpc("eth_accounts")).result).toEqual([unlocked.toLowerCase()]);
  });

  test("fees are what the chain charges", async () => {
    const { baseFeePerGas } = await chain.client.getBlock();
    const fees = await chain.client.estimateFeesPerGas();
    expect(fees.maxFeePerGas).toBeGreaterThanOrEqual(baseFeePerGas!);
    expect(await chain.client.getGasPrice()).toBe(baseFeePerGas!);
    const history = await chain.client.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
    expect(history.baseFeePerGas).toEqual(Array(3).fill(baseFeePerGas));
    expect(history.gasUsedRatio).toHaveLength(2);
    expect(history.reward).toEqual([[0n], [0n]]);
  });
});
