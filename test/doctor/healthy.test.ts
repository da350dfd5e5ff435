import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Devnet } from "../../src/devnet/devnet.ts";
import type { Backend } from "../../src/inference/backend.ts";
import { coordinatorProxy } from "./proxies.ts";
import { createDoctorNode, type DoctorNode, red, startDoctorDevnet } from "./world.ts";

setDefaultTimeout(60_000);

let devnet: Devnet;
let node: DoctorNode;

beforeAll(async () => {
  devnet = await startDoctorDevnet();
  node = await createDoctorNode(devnet);
});

afterAll(async () => {
  await node?.stop();
  await devnet?.stop();
});

/** Every file of a directory with its time and content. */
function fingerprint(dir: string): string[] {
  return readdirSync(dir)
    .sort()
    .map((name) => {
      const path = join(dir, name);
      return `${name} ${statSync(path).mtimeMs} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
    });
}

describe("a healthy node that does not run", () => {
  test("is all green, and its files are as they were", async () => {
    const before = fingerprint(node.dir);
    const touched = statSync(node.dir).mtimeMs;
    const report = await node.examine();
    expect(red(report)).toEqual([]);
    expect(report.healthy).toBe(true);
    expect(report.findings.length).toBeGreaterThanOrEqual(30);
    expect(new Set(report.findings.map(({ id }) => id)).size).toBe(report.findings.length);
    expect(report.findings.find(({ id }) => id === "determinism")?.detail).toBe("tiny gave the same 16 tokens twice");
    expect(fingerprint(node.dir)).toEqual(before);
    expect(statSync(node.dir).mtimeMs).toBe(touched);
  });

  test("--no-probe loads no model", async () => {
    const openModel = () => {
      throw new Error("a model was opened");
    };
    const report = await node.examine({}, { probe: false, openModel });
    expect(report.findings.find(({ id }) => id === "determinism")?.detail).toBe("not checked: --no-probe");
  });

  test("a model that answers differently each time turns `determinism` red", async () => {
    let answers = 0;
    const openModel = (): Backend => ({
      name: "dice",
      models: () => ["tiny"],
      slots: 1,
      determinismClass: () => undefined,
      warm: async () => {},
      generate: async () => ({
        text: `answer ${answers++}`,
        promptTokens: 1,
        outputTokens: 2,
        finishReason: "stop",
        determinismClass: "dice",
        ms: 1,
      }),
      health: () => ({ status: "healthy", detail: "" }),
      close: async () => {},
    });
    expect(red(await node.examine({}, { openModel }))).toEqual(["determinism"]);
    expect(answers).toBe(2);
  });

  test("a fresh heartbeat of its key is that of a second node", async () => {
    const proxy = coordinatorProxy(devnet.endpoints.icl, (body) => {
      const nodes = body as { metrics: { last_heartbeat: number } }[];
      for (const { metrics } of nodes) metrics.last_heartbeat = Math.floor(Date.now() / 1000) + 20;
      return nodes;
    });
    expect(red(await node.examine({ BLF_ICL_ENDPOINT: proxy.url }))).toEqual(["second-node"]);
    await proxy.stop();
  });

  test("something else on its status port turns `node` red", async () => {
    const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
    expect(red(await node.examine({ BLF_STATUS_PORT: String(other.port) }))).toEqual(["node"]);
    await other.stop(true);
  });

  test("a damaged journal turns `journal` red", async () => {
    const copy = await createDoctorNode(devnet);
    writeFileSync(join(copy.dir, "journal.db"), "this is no database at all ".repeat(200));
    expect(red(await copy.examine())).toEqual(["journal"]);
    await copy.stop();
  });
});

test("a healthy node that runs is all green within 3 s", async () => {
  await node.run();
  const report = await node.examine();
  expect(red(report)).toEqual([]);
  expect(report.ms).toBeLessThanOrEqual(3000);
  const details = new Map(report.findings.map(({ id, detail }) => [id, detail]));
  expect(details.get("node")).toBe("running and ready");
  expect(details.get("second-node")).toBe("the newest heartbeat is ours");
  expect(details.get("icl-listing")).toBe("among the active nodes");
  expect(details.get("ipfs-download")).toBe("the same bytes came back");
});
