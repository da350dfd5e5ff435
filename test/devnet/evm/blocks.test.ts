import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Address, type Hex, keccak256, numberToHex, parseEther, parseGwei, toRlp, trim } from "viem";
import { startOfTime, startTestEvm } from "./chain.ts";

let chain: Awaited<ReturnType<typeof startTestEvm>>;

/** Runtime code that returns the block's time, its number and the hash of the block before: TIMESTAMP, NUMBER, BLOCKHASH. */
const oracle: Address = "0x00000000000000000000000000000000000000aa";
const oracleCode: Hex = ("0x425f52436020526001430340604052" + "60605ff3") as Hex;

beforeEach(async () => {
  chain = await startTestEvm({ [oracle]: { code: oracleCode } });
});
afterEach(() => chain.evm.stop());

const send = async (value = 1n) => {
  const hash = await chain.wallet().sendTransaction({ to: chain.bob.address, value });
  return chain.client.getTransactionReceipt({ hash });
};

type RawBlock = Record<string, Hex>;
const rawBlock = async (number: number) =>
  (await chain.rpc("eth_getBlockByNumber", numberToHex(number), false)).result as RawBlock;

/** The hash of a header by the rules of Cancun, computed from what the RPC shows. */
function headerHash(block: RawBlock): Hex {
  const number = (name: string): Hex =>
    BigInt(block[name]!) === 0n ? "0x" : trim(block[name]!.length % 2 ? `0x0${block[name]!.slice(2)}` : block[name]!);
  const names = ["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"];
  return keccak256(
    toRlp([
      ...names.map((name) => block[name]!),
      ...["difficulty", "number", "gasLimit", "gasUsed", "timestamp"].map(number),
      block["extraData"]!,
      block["mixHash"]!,
      block["nonce"]!,
      number("baseFeePerGas"),
      block["withdrawalsRoot"]!,
      number("blobGasUsed"),
      number("excessBlobGas"),
      block["parentBeaconBlockRoot"]!,
    ]),
  );
}

describe("blocks", () => {
  test("each transaction has a block of its own, hashed and chained like a real one", async () => {
    await send();
    await send();
    await chain.test.mine({ blocks: 1 });
    const blocks = await Promise.all([0, 1, 2, 3].map(rawBlock));
    for (const [index, block] of blocks.entries()) {
      expect(block["hash"]).toBe(headerHash(block));
      if (index > 0) expect(block["parentHash"]).toBe(blocks[index - 1]!["hash"]!);
    }
    expect(blocks.map((block) => block["transactions"]!.length)).toEqual([0, 1, 1, 0]);
    expect(new Set(blocks.slice(0, 3).map((block) => block["stateRoot"])).size).toBe(3);
    expect(blocks[3]!["stateRoot"]).toBe(blocks[2]!["stateRoot"]!);
    expect((await chain.rpc("eth_getBlockByHash", blocks[1]!["hash"], false)).result).toEqual(blocks[1]!);
    expect((await chain.rpc("eth_getBlockByNumber", "0x4", false)).result).toBeNull();
  });

  test("a receipt tells what was really paid, to whom and from whom", async () => {
    const before = await chain.client.getBalance(chain.alice);
    const tip = parseGwei("1");
    const hash = await chain.wallet().sendTransaction({
      to: chain.bob.address,
      value: 5n,
      maxFeePerGas: parseGwei("20"),
      maxPriorityFeePerGas: tip,
    });
    const receipt = await chain.client.getTransactionReceipt({ hash });
    const { baseFeePerGas } = await chain.client.getBlock();
    expect(receipt).toMatchObject({
      status: "success",
      gasUsed: 21_000n,
      cumulativeGasUsed: 21_000n,
      blockNumber: 1n,
      transactionIndex: 0,
      contractAddress: null,
      type: "eip1559",
      logs: [],
    });
    expect(receipt.effectiveGasPrice).toBe(baseFeePerGas! + tip);
    expect(await chain.client.getBalance(chain.alice)).toBe(before - 5n - 21_000n * receipt.effectiveGasPrice);
    expect(await chain.client.getBalance(chain.bob)).toBe(parseEther("100") + 5n);

    const transaction = await chain.client.getTransaction({ hash });
    expect(transaction).toMatchObject({ hash, value: 5n, nonce: 0, type: "eip1559", blockHash: receipt.blockHash });
    expect(transaction.from.toLowerCase()).toBe(chain.alice.address.toLowerCase());
    const full = await chain.client.getBlock({ includeTransactions: true });
    expect(full.transactions).toEqual([transaction]);
  });

  test("legacy and access-list transactions are mined too", async () => {
    for (const type of ["legacy", "eip2930"] as const) {
      const hash = await chain.wallet().sendTransaction({ to: chain.bob.address, type, gasPrice: parseGwei("3") });
      const receipt = await chain.client.getTransactionReceipt({ hash });
      expect(receipt).toMatchObject({ status: "success", type, effectiveGasPrice: parseGwei("3") });
    }
  });

  test("a deployment's address and its logs are found", async () => {
    // Constructor: LOG1 with the topic 1 and four bytes of data; runtime code: one STOP.
    const bytecode: Hex = "0x63deadbeef5f5260016004601ca160015ff3";
    const hash = await chain.wallet().sendTransaction({ data: bytecode });
    const receipt = await chain.client.getTransactionReceipt({ hash });
    expect(await chain.client.getCode({ address: receipt.contractAddress! })).toBe("0x00");
    const [log] = receipt.logs;
    expect(log).toMatchObject({ data: "0xdeadbeef", topics: [numberToHex(1, { size: 32 })], logIndex: 0 });
    await send();

    const found = await chain.client.getLogs({ address: receipt.contractAddress!, fromBlock: 0n });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ transactionHash: hash, data: "0xdeadbeef", blockHash: receipt.blockHash });
    const query = async (filter: object) => ((await chain.rpc("eth_getLogs", filter)).result as unknown[]).length;
    const topic = numberToHex(1, { size: 32 });
    const other = numberToHex(2, { size: 32 });
    expect(await query({ fromBlock: "0x0", topics: [[other, topic]] })).toBe(1);
    expect(await query({ fromBlock: "0x0", topics: [other] })).toBe(0);
    expect(await query({ fromBlock: "0x0", topics: [null, topic] })).toBe(0);
    expect(await query({ fromBlock: "0x0", address: chain.bob.address })).toBe(0);
    expect(await query({ fromBlock: "0x2" })).toBe(0);
    expect(await query({ blockHash: receipt.blockHash })).toBe(1);
    expect((await chain.rpc("eth_getLogs", { fromBlock: "0x2", toBlock: "0x1" })).error?.code).toBe(-32000);
  });

  test("an older block shows its own state", async () => {
    await send(parseEther("1"));
    await send(parseEther("2"));
    const at = (blockNumber: bigint) => chain.client.getBalance({ address: chain.bob.address, blockNumber });
    const balances = await Promise.all([0n, 1n, 2n].map(at));
    expect(balances).toEqual(["100", "101", "103"].map((ether) => parseEther(ether)));
    const { address } = chain.alice;
    expect(await chain.client.getTransactionCount({ address, blockNumber: 1n })).toBe(1);
    await expect(at(3n)).rejects.toThrow(/header not found/);
  });
});

describe("time", () => {
  const read = async (blockNumber?: bigint) => {
    const { data } = await chain.client.call({ to: oracle, ...(blockNumber !== undefined && { blockNumber }) });
    const word = (index: number) => `0x${data!.slice(2 + index * 64, 66 + index * 64)}` as Hex;
    return { time: BigInt(word(0)), number: BigInt(word(1)), parent: word(2) };
  };

  test("a call sees the block that would be mined now", async () => {
    expect(await read()).toMatchObject({ time: BigInt(startOfTime), number: 1n });
    chain.clock.seconds += 50;
    const now = await read();
    expect(now).toMatchObject({ time: BigInt(startOfTime + 50), number: 1n });
    expect(now.parent).toBe((await chain.client.getBlock({ blockNumber: 0n })).hash);
    await send();
    chain.clock.seconds += 50;
    expect(await read(0n)).toMatchObject({ time: BigInt(startOfTime), number: 0n });
  });

  test("blocks take the clock's time, moved forward as asked, and never go back", async () => {
    const timestamps: bigint[] = [];
    const mine = async () => {
      await chain.test.mine({ blocks: 1 });
      timestamps.push((await chain.client.getBlock()).timestamp - BigInt(startOfTime));
    };
    await mine();
    chain.clock.seconds += 10;
    await mine();
    await chain.test.increaseTime({ seconds: 345_600 });
    await mine();
    chain.clock.seconds -= 5;
    await mine();
    chain.clock.seconds += 6;
    await mine();
    await chain.test.setNextBlockTimestamp({ timestamp: BigInt(startOfTime + 400_000) });
    await mine();
    expect(timestamps).toEqual([0n, 10n, 345_610n, 345_610n, 345_611n, 400_000n]);
    const back = await chain.rpc("evm_setNextBlockTimestamp", startOfTime);
    expect(back.error?.message).toContain("lower");
  });
});
