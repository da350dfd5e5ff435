import { heapStats } from "bun:jsc";
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAbiItem, parseEther } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { createSharedNonces } from "../../src/chain/wallet-lock.ts";
import { devnetAccounts } from "../../src/devnet/accounts.ts";
import { fundAccounts } from "../../src/devnet/contracts/fund.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { HttpFault, type RpcProxy, startRpcProxy } from "../helpers/rpc-proxy.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { until } from "../helpers/until.ts";
import type { ApprovalTask } from "./send-approvals.ts";

setDefaultTimeout(240_000);

const approvalEvent = parseAbiItem("event Approval(address indexed owner, address indexed spender, uint256 value)");
const command = fileURLToPath(new URL("./send-approvals.ts", import.meta.url));
const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const { log } = captureLog();

describe("nonces of several processes", () => {
  test("one action at a time, and each finds what the one before it wrote", async () => {
    using directory = tempDirectory();
    const open = () => createSharedNonces({ dir: directory.path, address, chainId: 1, clock: systemClock, log });
    let running = 0;
    const seen: number[] = [];
    const take = () =>
      open().exclusively(async (shared) => {
        expect(++running).toBe(1);
        await Bun.sleep(1);
        seen.push(shared.next);
        shared.next += 1;
        running--;
      });
    await Promise.all(Array.from({ length: 20 }, take));
    expect(seen).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  test("an action that fails lets the lock go, and keeps what it wrote", async () => {
    using directory = tempDirectory();
    const nonces = createSharedNonces({ dir: directory.path, address, chainId: 1, clock: systemClock, log });
    const failing = nonces.exclusively(async (shared) => {
      shared.next = 7;
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await nonces.exclusively(async ({ next }) => next)).toBe(7);
  });

  test("nothing stays in memory of the actions of a long life", async () => {
    using directory = tempDirectory();
    const nonces = createSharedNonces({ dir: directory.path, address, chainId: 1, clock: systemClock, log });
    const databases = () => {
      Bun.gc(true);
      return heapStats().objectTypeCounts["SQLDatabase"] ?? 0;
    };
    const before = databases();
    for (let count = 0; count < 50; count++)
      await nonces.exclusively(async (shared) => {
        shared.next += 1;
      });
    // The collector may find a reference on the stack where there is none any more.
    expect(databases() - before).toBeLessThan(5);
  });

  test("another wallet, another chain and a minute later know nothing of it", async () => {
    using directory = tempDirectory();
    const clock = manualClock();
    const open = (chainId: number, wallet = address) =>
      createSharedNonces({ dir: directory.path, address: wallet, chainId, clock, log });
    const next = (chainId: number, wallet = address) =>
      open(chainId, wallet).exclusively(async (shared) => shared.next);
    await open(1).exclusively(async (shared) => {
      shared.next = 7;
    });
    expect(await next(1)).toBe(7);
    expect(await next(2)).toBe(0);
    expect(await next(1, devnetAccounts().icl.address)).toBe(0);
    clock.advance(59_000);
    expect(await next(1)).toBe(7);
    clock.advance(1000);
    expect(await next(1)).toBe(0);
  });

  test("a process that holds the lock for too long is an error, and so is a file that is no lock", async () => {
    using directory = tempDirectory();
    const clock = manualClock();
    const nonces = createSharedNonces({ dir: directory.path, address, chainId: 1, clock, log });
    const holder = new Database(join(directory.path, "wallet.lock"), { create: true });
    holder.run("BEGIN EXCLUSIVE");
    const leaving = new AbortController();
    const left = nonces.exclusively(async () => "in", leaving.signal);
    await until("it waits", () => clock.sleeping().length > 0);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(left).rejects.toThrow("stop");
    const waiting = expectCode(() => nonces.exclusively(async () => "in"), "WALLET_BUSY");
    await until("it waits", () => clock.sleeping().length > 0);
    clock.advance(121_000);
    const error = await waiting;
    expect(error.retryable).toBe(true);
    holder.run("COMMIT");
    holder.close();
    expect(await nonces.exclusively(async () => "in")).toBe("in");
    await Bun.write(
      join(directory.path, "wallet.lock"),
      "this is no database, and longer than a hundred bytes ".repeat(9),
    );
    await expectCode(() => nonces.exclusively(async () => "in"), "WALLET_LOCK_UNAVAILABLE");
  });
});

describe("four commands of one wallet, over an RPC that loses every tenth reply", () => {
  let network: ChainNetwork;
  let proxy: RpcProxy;
  beforeAll(async () => {
    network = await startChainNetwork();
    proxy = await startRpcProxy(network.url);
    dropReplies(proxy, 0.1);
  });
  afterAll(async () => {
    await proxy.stop();
    await network.stop();
  });

  /** One task for each command, all for one new wallet. */
  async function prepare(dir: string, total: number): Promise<{ tasks: ApprovalTask[]; wallet: `0x${string}` }> {
    const privateKey = generatePrivateKey();
    const wallet = privateKeyToAccount(privateKey).address;
    const { blind, staking: spender } = network.addresses;
    await fundAccounts({
      rpcUrl: network.url,
      funder: devnetAccounts().funder,
      blind,
      recipients: [wallet],
      etherAmount: parseEther("1"),
      blindAmount: 0n,
    });
    const each = total / 4;
    const tasks = [0, 1, 2, 3].map((index) => ({
      dir,
      url: proxy.url,
      privateKey,
      blind,
      spender,
      first: index * each + 1,
      last: (index + 1) * each,
    }));
    return { tasks, wallet };
  }

  async function approvals(owner: `0x${string}`): Promise<number[]> {
    const filter = { address: network.addresses.blind, event: approvalEvent, args: { owner }, fromBlock: 0n } as const;
    const logs = await network.chain.client.getLogs(filter);
    return logs.map(({ args }) => Number(args.value)).sort((a, b) => a - b);
  }

  const upTo = (total: number) => Array.from({ length: total }, (_, index) => index + 1);

  test("200 transactions: all of them on chain once, with consecutive nonces", async () => {
    using directory = tempDirectory();
    const { tasks, wallet } = await prepare(directory.path, 200);
    const results = await Promise.all(tasks.map((task) => run(task)));
    expect(results.map(({ code, stderr }) => [code, stderr])).toEqual(tasks.map(() => [0, ""]));
    expect(await approvals(wallet)).toEqual(upTo(200));
    expect(await network.chain.client.getTransactionCount({ address: wallet })).toBe(200);
    const db = new Database(join(directory.path, "journal.db"), { readonly: true });
    const rows = db.query("SELECT nonce, status FROM transactions ORDER BY nonce").all() as {
      nonce: number;
      status: string;
    }[];
    db.close();
    expect(rows.map(({ nonce }) => nonce)).toEqual(upTo(200).map((value) => value - 1));
    expect(new Set(rows.map(({ status }) => status))).toEqual(new Set(["succeeded"]));
  });

  test("commands that are killed in between and run again send nothing twice", async () => {
    using directory = tempDirectory();
    const { tasks, wallet } = await prepare(directory.path, 40);
    const killed = tasks.slice(0, 2).map((task) => run(task, { killAfter: 3 }));
    const others = tasks.slice(2).map((task) => run(task));
    const again = killed.map(async (first, index) => {
      expect((await first).code).not.toBe(0);
      return run(tasks[index]!);
    });
    const results = await Promise.all([...again, ...others]);
    expect(results.map(({ code, stderr }) => [code, stderr])).toEqual(tasks.map(() => [0, ""]));
    expect(await approvals(wallet)).toEqual(upTo(40));
    expect(await network.chain.client.getTransactionCount({ address: wallet })).toBe(40);
  });
});

/** Runs a command in a process of its own; `killAfter` so many mined transactions it is killed. */
async function run(task: ApprovalTask, { killAfter }: { killAfter?: number } = {}) {
  const child = Bun.spawn([process.execPath, command], {
    stdin: new Blob([JSON.stringify(task)]),
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env["PATH"] ?? "" },
  });
  const watch = async () => {
    let lines = 0;
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout as unknown as AsyncIterable<Uint8Array>) {
      lines += decoder.decode(chunk).split("\n").length - 1;
      if (killAfter !== undefined && lines >= killAfter) child.kill("SIGKILL");
    }
  };
  const [code, stderr] = await Promise.all([child.exited, child.stderr.text(), watch()]);
  return { code, stderr };
}

/** Loses this share of the answers to the calls that each exchange of a sender holds one of; the call does its work. */
function dropReplies(proxy: RpcProxy, share: number): void {
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (const method of ["eth_getBlockByNumber", "eth_sendRawTransaction", "eth_getTransactionReceipt"])
    proxy.rule(method, async (_call, forward) => {
      const answer = await forward();
      if (random() < share) throw new HttpFault("broken");
      return answer;
    });
}
