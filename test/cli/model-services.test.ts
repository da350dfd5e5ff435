import { expect, setDefaultTimeout, test } from "bun:test";
import { outputs } from "../../src/cli/models.ts";
import { type FaultPlayer, startFaultPlayer } from "../inference/stand-ins/fault-player.ts";
import { json } from "../inference/stand-ins/faults.ts";
import { document } from "./document.ts";
import { failure } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";

setDefaultTimeout(60_000);

const groqModel = "groq:llama-3.3-70b-versatile";
const secrets = { GROQ_API_KEY: "canary-groq", VLLM_API_KEY: "canary-vllm" };

/** Groq and a model server in one. */
function services(): FaultPlayer & Disposable {
  const player = startFaultPlayer(({ path }) => {
    if (path === "/version") return json({ version: "0.11.2" });
    if (path.endsWith("/models")) return json({ data: [{ id: "served" }] });
    if (path.endsWith("/chat/completions"))
      return json({
        model: "llama-3.3-70b-versatile",
        choices: [{ message: { content: "of Groq" }, finish_reason: "stop" }],
      });
    return json({ model: "served", choices: [{ text: "of the server", finish_reason: "stop" }] });
  });
  return { ...player, [Symbol.dispose]: () => player.stop() };
}

const configured = (url: string) =>
  nodeDirectory({
    vllm: { base_url: url, models: { opt: "served" } },
    groq: { base_url: url, models: [groqModel] },
  });

test("models list shows the models of services, of which nobody is asked anything", async () => {
  using player = services();
  using node = configured(player.url);
  type List = { models: { id: string; backend: string; status: string; offered: boolean; determinismClass: string }[] };
  const env = { ...node.env, ...secrets };
  const { models } = await document<List>(["models", "list"], { env }, outputs, "models list");
  expect(models.map(({ id, backend, status, offered }) => [id, backend, status, offered])).toEqual([
    [groqModel, "groq", "degraded", true],
    ["opt", "vllm", "degraded", true],
  ]);
  expect(player.requests).toEqual([]);
});

test.each([
  ["opt", "of the server", "vllm:served@0.11.2/greedy/seed42/max2048/raw", "canary-vllm"],
  [groqModel, "of Groq", "groq:llama-3.3-70b-versatile/cloud/temperature0/seed42/max512/anchor", "canary-groq"],
])("models test of %s", async (id, text, determinismClass, key) => {
  using player = services();
  using node = configured(player.url);
  const env = { ...node.env, ...secrets };
  const tested = await document<object>(["models", "test", id, "hello"], { env }, outputs, "models test");
  expect(tested).toMatchObject({ model: id, text, determinismClass });
  expect(new Set(player.requests.map(({ headers }) => headers["authorization"]))).toEqual(new Set([`Bearer ${key}`]));
});

test("a key that is missing ends with the variable's name, and a server that is away with its address", async () => {
  using player = services();
  using node = configured(player.url);
  expect(await failure(["models", "test", groqModel, "hello"], { env: node.env })).toBe(
    "1 Groq needs a key, and GROQ_API_KEY is not set [GROQ_KEY_MISSING] | Set GROQ_API_KEY in the node's environment.",
  );
  player.stop();
  expect(await failure(["models", "test", "opt", "hello"], { env: node.env })).toBe(
    "75 The model server at http://127.0.0.1:PORT cannot be reached (ECONNREFUSED) [VLLM_UNREACHABLE] | Check that it runs, and `blindference config get vllm.base_url`.",
  );
});
