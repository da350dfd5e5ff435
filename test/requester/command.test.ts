import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { parseEther } from "viem";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { useChainWorld } from "../cli/chain-command.ts";
import { errorText } from "../cli/expect-error.ts";
import { serveJson } from "../cli/misbehaving.ts";
import { nodeDirectory, password } from "../cli/node-directory.ts";
import { runCli } from "../cli/run-cli.ts";
import { until } from "../helpers/until.ts";

setDefaultTimeout(120_000);

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const args = ["infer", "hello", "--model", "mock-model", "--deposit", "10"];

const world = useChainWorld();

describe("a deposit", () => {
  const sent = () => world.proxy.calls.filter(({ method }) => method === "eth_sendRawTransaction").length;
  const paid = async () => {
    const { blind } = world.devnet.addresses;
    const balance = { address: blind, abi: blindAbi, functionName: "balanceOf", args: [world.address] } as const;
    return parseEther("10000") - (await world.chain.client.readContract(balance));
  };
  const credited = async () => {
    const answer = await fetch(`${world.devnet.endpoints.payment}/v1/balance/${world.address}`);
    return BigInt(((await answer.json()) as { total_deposited_blind: string }).total_deposited_blind);
  };
  const run = async (env: Record<string, string> = {}) => {
    // No node runs here, so that after the deposit there is no quorum to be had.
    return errorText(await runCli(args, { env: { ...world.env, ...env } }));
  };

  test("kill -9 between the transfer and the credit: the same command has it credited, and another one pays again", async () => {
    world.proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    const child = Bun.spawn([process.execPath, main, ...args], {
      env: { ...world.env, HOME: world.node.dir, PATH: "/usr/bin:/bin" },
      stdout: "ignore",
      stderr: "ignore",
    });
    await until("the transfer is sent", () => sent() > 0, { timeoutMs: 60_000 });
    child.kill("SIGKILL");
    await child.exited;
    world.proxy.rule("eth_getTransactionReceipt", undefined);
    await until("it is mined", async () => (await paid()) > 0n);
    expect(await credited()).toBe(0n);

    expect(await run()).toContain("[ICL_REJECTED]");
    expect([await paid(), await credited()]).toEqual([parseEther("10"), parseEther("10")]);

    expect(await run()).toContain("[ICL_REJECTED]");
    expect([await paid(), await credited()]).toEqual([parseEther("20"), parseEther("20")]);
  });

  test("the credit is refused, or its answer gets lost: the same command pays no second time", async () => {
    using refusing = serveJson(() => Response.json({ detail: "unknown transaction" }, { status: 400 }));
    expect(await run({ BLF_PAYMENT_SERVICE_URL: refusing.url })).toContain("[DEPOSIT_NOT_CREDITED]");
    using losing = serveJson(async (request) => {
      const { pathname } = new URL(request.url);
      await fetch(world.devnet.endpoints.payment + pathname, { method: "POST", body: await request.text() });
      return new Response("", { status: 502 });
    });
    expect(await run({ BLF_PAYMENT_SERVICE_URL: losing.url })).toContain("[PAYMENT_FAILED]");
    expect(await credited()).toBe(parseEther("10"));
    expect(await run()).toContain("[ICL_REJECTED]");
    expect([await paid(), await credited()]).toEqual([parseEther("10"), parseEther("10")]);
  });
});

describe("a prompt from standard input", () => {
  const run = (more: string[], stdin: string, env: Record<string, string>) =>
    runCli(["infer", "-", "--model", "m", ...more], { env, stdin }).then(errorText);

  test("that is empty is refused", async () => {
    using node = nodeDirectory();
    for (const [more, stdin] of [
      [[], ""],
      [[], " \n"],
      [["--password-stdin"], `${password}\n\n`],
      [["--password-stdin"], password],
    ] as [string[], string][])
      expect(await run(more, stdin, node.unlocked)).toContain("2 <prompt> must be some text [USAGE_INVALID_OPTION]");
  });

  test("is what is sealed and uploaded, without the end of its last line", async () => {
    const sizes: number[] = [];
    const uploaded = Promise.withResolvers<void>();
    using coordinator = serveJson(async (request) => {
      if (request.method === "POST") {
        sizes.push(((await request.formData()).get("file") as File).size);
        uploaded.resolve();
      }
      await uploaded.promise;
      return Response.json({ detail: "enough seen" }, { status: 400 });
    });
    const env: Record<string, string> = { ...world.env, BLF_ICL_ENDPOINT: coordinator.url };
    expect(await run([], "héllo\nworld\n", env)).toContain("[ICL_REJECTED]");
    const { BLF_KEY_PASSWORD: _, ...locked } = env;
    expect(await run(["--password-stdin"], `${password}\nhéllo\nworld\n`, locked)).toContain("[ICL_REJECTED]");
    const nonceAndTag = 28;
    expect(sizes).toEqual([nonceAndTag + 12, nonceAndTag + 12]);
  });

  test("comes after the line with the password", async () => {
    using node = nodeDirectory();
    expect(await run([], "hello", node.unlocked)).toContain("[CHAIN_UNREACHABLE]");
    expect(await run(["--password-stdin"], `${password}\nhello\nworld\n`, node.env)).toContain("[CHAIN_UNREACHABLE]");
    expect(await run(["--password-stdin"], "wrong\nhello\n", node.env)).toContain("4 ");
    expect(await run(["--password-stdin"], "\nhello\n", node.env)).toContain("[PASSWORD_MISSING]");
  });
});
