import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { sha256 } from "../inference/model-server.ts";
import { errorText, failure, jsonErrorText } from "./expect-error.ts";
import { useModelNodes } from "./model-nodes.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

const _main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const tiny = buildTinyModel({ layers: 1, dim: 32, ff: 32 });
const _chunkSize = 8 * 1024 * 1024;

const upper = `export default {
  name: "upper",
  models: ["upper-1"],
  generate: ({ prompt }: { prompt: string }) => prompt.toUpperCase(),
};`;

const { world, node } = useModelNodes();
beforeAll(() => writeFileSync(join(world.scratch, "upper.ts"), upper));

describe("a local model", () => {
  test("is added, listed, tried, verified and removed", async () => {
    using at = node({ mock_model_ids: ["mock-a"], supported_model_ids: ["mock-a"] });
    at.write("m.gguf", tiny);
    const path = join(at.dir, "m.gguf");
    const added = await at.json(["models", "add", `tiny/one=${path}`]);
    expect(added).toEqual({
      ok: true,
      kind: "gguf",
      id: "tiny/one",
      path,
      bytes: tiny.length,
      sha256: sha256(tiny),
      notices: [],
    });
    expect(at.config()).toMatchObject({
      models: { "tiny/one": { path, sha256: sha256(tiny) } },
      supported_model_ids: ["mock-a", "tiny/one"],
    });

    const listed = await at.json(["models", "list"]);
    const tested = await at.json(["models", "test", "--model", "tiny/one", "--prompt", "hello there"]);
    expect(listed["models"]).toEqual([
      {
        id: "mock-a",
        backend: "mock",
        status: "available",
        detail: "",
        offered: true,
        path: null,
        bytes: null,
        determinismClass: "mock/sha256",
        determinismClassHash: sha256(Buffer.from("mock/sha256")),
      },
      {
        id: "tiny/one",
        backend: "llama",
        status: "available",
        detail: "",
        offered: true,
        path,
        bytes: tiny.length,
        determinismClass: tested["determinismClass"],
        determinismClassHash: sha256(Buffer.from(String(tested["determinismClass"]))),
      },
    ]);
    expect(tested).toMatchObject({ model: "tiny/one", backend: "llama", outputTokens: 512, finishReason: "length" });
    expect(String(tested["determinismClass"])).toStartWith(`gguf:${sha256(tiny).slice(0, 12)}/`);
    const text = await at.run(["models", "test", "tiny/one", "hello there"]);
    expect(text.stdout).toStartWith(String(tested["text"]));
    expect(text.stdout).toContain(`class    ${tested["determinismClass"]}\n`);

    expect(await at.json(["models", "verify"])).toMatchObject({ models: [{ id: "tiny/one", status: "ok" }] });
    at.write("m.gguf", Buffer.concat([tiny, new Uint8Array(1)]));
    expect(
      await failure(["models", "verify", "tiny/one"], { env: at.env }).catch((error: Error) => error.message),
    ).toContain("");
    expect(jsonErrorText(await at.run(["models", "verify", "--json"]))).toStartWith(
      "1 A model file is not what was added: tiny/one [MODEL_HASH_MISMATCH]",
    );
    const shown = await at.run(["models", "verify"]);
    expect([shown.code, shown.stdout.includes("DIFFERS")]).toEqual([1, true]);

    expect(
      jsonErrorText(await at.run(["models", "remove", "tiny/one", "--delete-file", "--json"]), at.dir),
    ).toStartWith("2 DIR/m.gguf does not lie in DIR/models [MODEL_FILE_NOT_OURS]");
    const removed = await at.json(["models", "remove", "tiny/one"]);
    expect(removed).toMatchObject({ kind: "gguf", removed: "tiny/one", deletedFile: null });
    expect(at.config()).toMatchObject({ models: {}, supported_model_ids: ["mock-a"] });
    expect(existsSync(path)).toBe(true);
  });

  test("that cannot be used is not added", async () => {
    using at = node({ mock_model_ids: ["mock-a"], models: { old: { path: "/old.gguf" } } });
    at.write("broken.gguf", "GGUF");
    at.write("good.gguf", tiny);
    const lines: string[] = [];
    for (const what of [
      "a=broken.gguf",
      "a=none.gguf",
      "../a=good.gguf",
      "good.gguf",
      "mock-a=good.gguf",
      "old=good.gguf",
    ])
      lines.push(`${what}: ${jsonErrorText(await at.run(["models", "add", what, "--json"], { cwd: at.dir }), at.dir)}`);
    expect(lines).toMatchInlineSnapshot(`
      [
        "a=broken.gguf: 1 The model file ends too early [MODEL_TRUNCATED] | It was probably not downloaded completely: download it again.",
        "a=none.gguf: 1 There is no model file at DIR/none.gguf [MODEL_NOT_FOUND] | Correct the path in the configuration.",
        "../a=good.gguf: 2 "../a" cannot be the id of a model [USAGE_INVALID_MODEL] | Use letters, digits and . _ - : / + @, for example qwen2.5-7b. \`models pull\` takes it with --id.",
        "good.gguf: 2 A model file needs the id that the network knows it by [USAGE_INVALID_MODEL] | Write it before the path: blindference models add ID=good.gguf",
        "mock-a=good.gguf: 1 The model id mock-a belongs to the mock [MODEL_ID_TAKEN] | Take it out of mock_model_ids with \`blindference config set\`, or choose another id.",
        "old=good.gguf: 1 The model id old belongs to the file /old.gguf [MODEL_ID_TAKEN] | Remove that with \`blindference models remove old\`, or choose another id.",
      ]
    `);
    expect(at.config()["models"]).toEqual({ old: { path: "/old.gguf" } });
  });
});

describe("a backend module", () => {
  test("is added by path, listed, tried and removed by name; the node starts with it", async () => {
    using at = node({ status_port: 0 });
    const path = join(world.scratch, "upper.ts");
    const added = await at.json(["models", "add", "./upper.ts"], { cwd: world.scratch });
    expect(added).toMatchObject({ kind: "backend", name: "upper", path, models: ["upper-1"], notices: [] });
    expect(at.config()["custom_backends"]).toEqual([path]);
    expect(await at.json(["models", "list"])).toMatchObject({
      models: [{ id: "upper-1", backend: "upper", status: "available", determinismClass: added["determinismClass"] }],
    });
    expect(await at.json(["models", "test", "--backend", "upper", "--prompt", "hi"])).toMatchObject({ text: "HI" });
    const { code, stderr } = await runCli(["run", "--log-format", "json"], {
      env: { ...at.unlocked, XDG_CACHE_HOME: at.env.XDG_CACHE_HOME },
      signal: { after: '"message":"node ready"', name: "SIGTERM" },
    });
    expect([code, stderr.includes('"model":"upper-1"')]).toEqual([0, true]);
    expect(await at.json(["models", "remove", "upper"])).toMatchObject({ kind: "backend", removed: path });
    expect(at.config()["custom_backends"]).toEqual([]);
    expect(await at.json(["models", "list"])).toMatchObject({ models: [] });
  });

  test("is found as a package of the current directory", async () => {
    using at = node();
    const directory = join(world.scratch, "project");
    const packaged = join(directory, "node_modules", "my-backend");
    mkdirSync(join(packaged, "node_modules", "dep"), { recursive: true });
    writeFileSync(join(packaged, "package.json"), '{"name":"my-backend","type":"module","exports":"./index.ts"}');
    writeFileSync(
      join(packaged, "index.ts"),
      `import { hi } from "dep";\n${upper.replace("prompt.toUpperCase()", "hi(prompt)")}`,
    );
    writeFileSync(join(packaged, "node_modules", "dep", "package.json"), '{"name":"dep","main":"dep.js"}');
    writeFileSync(join(packaged, "node_modules", "dep", "dep.js"), "exports.hi = (text) => 'hi ' + text;");
    const added = await at.json(["models", "add", "my-backend"], { cwd: directory });
    expect(added["path"]).toBe(join(packaged, "index.ts"));
    expect(await at.json(["models", "test", "upper-1", "you"])).toMatchObject({ text: "hi you" });
  });

  test("that does not work is refused in words, and config.json stays as it is", async () => {
    using at = node({ mock_model_ids: ["mock-a"] });
    const lines: string[] = [];
    const shape = (body: string) => `export default { name: "x", models: ["x-1"], ${body} };`;
    for (const [name, source, options = []] of [
      ["throws", `throw new Error("boom");`],
      ["syntax", "export default {"],
      ["shape", "export default { name: 1 };"],
      ["taken", upper.replace("upper-1", "mock-a")],
      ["exits", "process.exit(1);"],
      ["fails", shape(`generate() { throw new TypeError("no \\u001b[2J key"); }`)],
      ["hangs", shape("generate: () => new Promise(() => {})"), ["--timeout", "0.5"]],
      ["probe", shape("generate: () => '', probe: () => false")],
    ] as const) {
      writeFileSync(join(world.scratch, `${name}.ts`), source);
      const result = await at.run(["models", "add", `./${name}.ts`, ...options], { cwd: world.scratch });
      lines.push(errorText(result, world.scratch));
    }
    for (const what of ["./none.ts", "no-such-package", "my_package.backends:MyBackend"])
      lines.push(errorText(await at.run(["models", "add", what], { cwd: world.scratch }), world.scratch));
    expect(lines).toMatchInlineSnapshot(`
      [
        "1 The backend module DIR/throws.ts cannot be imported: boom [BACKEND_IMPORT_FAILED] | Correct the module; packages that it imports must be installed beside it.",
        "1 The backend module DIR/syntax.ts cannot be imported: Expected identifier but found end of file [BACKEND_IMPORT_FAILED] | Correct the module; packages that it imports must be installed beside it.",
        "1 The backend module DIR/shape.ts has the wrong shape: "name" must be a text [BACKEND_SHAPE_INVALID] | Export default { name, models: [ids], generate({ modelId, prompt }, { signal }) }, with \`probe\` if you like.",
        "1 The model id mock-a belongs to the mock [MODEL_ID_TAKEN] | Take it out of mock_model_ids with \`blindference config set\`, or choose another id.",
        "1 The backend module DIR/exits.ts ended its process (code 1) [BACKEND_CRASHED] | A module must not call process.exit, nor leave a failure that nothing handles; native code that it uses may have crashed.",
        "1 The custom backend failed: no \\u001b[2J key [BACKEND_FAILED] | Correct the module's \`generate\` or \`probe\`.",
        "1 The backend module DIR/hangs.ts took longer than 0.5 s to answer a trial prompt [BACKEND_TIMEOUT] | Move slow work out of the module's top level into \`generate\`, whose trial \`models add --timeout\` allows more.",
        "75 The custom backend says that it cannot answer now [BACKEND_UNAVAILABLE] | See to what its \`probe\` looks for.",
        "1 There is no backend module ./none.ts [BACKEND_NOT_FOUND] | Give the path of a .ts or .js file, or the name of a package that is installed in the current directory.",
        "1 There is no backend module no-such-package [BACKEND_NOT_FOUND] | Give the path of a .ts or .js file, or the name of a package that is installed in the current directory.",
        "1 There is no backend module my_package.backends:MyBackend [BACKEND_NOT_FOUND] | Dotted Python paths belong to the original node: write the backend in TypeScript or JavaScript.",
      ]
    `);
    expect(at.config()["custom_backends"]).toBeUndefined();
  });

  test("that waits for ever at its top level is given up after 10 s, and stops `run` before it earns a failure", async () => {
    using at = node();
    writeFileSync(join(world.scratch, "hang.ts"), "while (true) {}");
    const path = join(world.scratch, "hang.ts");
    const started = performance.now();
    const [added, run] = await Promise.all([
      at.run(["models", "add", path]),
      runCli(["run", "--log-level", "error"], {
        env: { ...at.unlocked, XDG_CACHE_HOME: at.env.XDG_CACHE_HOME, BLF_CUSTOM_BACKENDS: path },
      }),
    ]);
    expect(performance.now() - started).toBeLessThan(30_000);
    for (const result of [added, run])
      expect(errorText(result, world.scratch)).toStartWith(
        "1 The backend module DIR/hang.ts took longer than 10 s to be imported [BACKEND_TIMEOUT]",
      );
  });
});

test("unknown models and backends", async () => {
  using at = node({ mock_model_ids: ["mock-a", "mock-b"] });
  const lines: string[] = [];
  for (const args of [
    ["test", "mock-c"],
    ["test"],
    ["test", "--backend", "vllm2"],
    ["remove", "mock-z"],
    ["verify", "none"],
    ["verify", "--write-manifest", "x"],
    ["pull", "nonsense"],
    ["pull", "ftp://example.org/m.gguf"],
    ["pull", "http://example.org/m.gguf"],
    ["pull", "a/../b"],
    ["pull", "https://example.org/m-00001-of-00002.gguf"],
    ["pull", "https://example.org/m.gguf", "--sha256", "abc"],
    ["pull", "https://example.org/m.gguf", "--connections", "0"],
    ["pull", "https://example.org/m.gguf", "--id", "a/../b"],
    ["pull", "https://example.org/m.gguf", "--id", "mock-a"],
    ["pull", "https://example.org/m.gguf", "--manifest", "/none"],
  ])
    lines.push(`${args.join(" ")}: ${errorText(await at.run(["models", ...args]))}`);
  expect(lines).toMatchInlineSnapshot(`
    [
      "test mock-c: 2 No backend serves the model mock-c [MODEL_UNKNOWN] | Did you mean mock-a?",
      "test: 2 There are 2 models [MODEL_MISSING] | Name one with --model, for example --model mock-a.",
      "test --backend vllm2: 2 No backend vllm2 has a model here [BACKEND_UNKNOWN] | These have: mock.",
      "remove mock-z: 2 There is no local model and no backend mock-z [MODEL_UNKNOWN] | Run \`blindference models list\` to see what there is.",
      "verify none: 2 There is no local model none [MODEL_UNKNOWN] | Run \`blindference models list\` to see the models.",
      "verify --write-manifest x: 2 --write-manifest is for one model [USAGE_INVALID_OPTION] | Name it: blindference models verify ID --write-manifest FILE",
      "pull nonsense: 2 "nonsense" is neither a URL nor a repository of the hub [PULL_SOURCE_INVALID] | Write https://host/file.gguf, owner/repo or owner/repo:file.gguf.",
      "pull ftp://example.org/m.gguf: 1 Models are downloaded over HTTPS only [PULL_URL_REFUSED] | Give an https:// URL; plain http:// is for 127.0.0.1 only.",
      "pull http://example.org/m.gguf: 1 Models are downloaded over HTTPS only [PULL_URL_REFUSED] | Give an https:// URL; plain http:// is for 127.0.0.1 only.",
      "pull a/../b: 2 "a/../b" is neither a URL nor a repository of the hub [PULL_SOURCE_INVALID] | Write https://host/file.gguf, owner/repo or owner/repo:file.gguf.",
      "pull https://example.org/m-00001-of-00002.gguf: 1 That file is one part of a model that was split [MODEL_SPLIT_UNSUPPORTED] | Take a model in one piece, or join the parts with llama-gguf-split --merge and add it with \`blindference models add ID=PATH\`.",
      "pull https://example.org/m.gguf --sha256 abc: 2 --sha256 must be 64 hex digits [USAGE_INVALID_OPTION] | Run \`blindference models pull --help\`.",
      "pull https://example.org/m.gguf --connections 0: 2 --connections must be a number from 1 to 32 [USAGE_INVALID_OPTION] | Run \`blindference models pull --help\`.",
      "pull https://example.org/m.gguf --id a/../b: 2 "a/../b" cannot be the id of a model [USAGE_INVALID_MODEL] | Use letters, digits and . _ - : / + @, for example qwen2.5-7b. \`models pull\` takes it with --id.",
      "pull https://example.org/m.gguf --id mock-a: 1 The model id mock-a belongs to the mock [MODEL_ID_TAKEN] | Take it out of mock_model_ids with \`blindference config set\`, or choose another id.",
      "pull https://example.org/m.gguf --manifest /none: 1 The manifest is not there [PULL_MANIFEST_INVALID] | Make one from a good copy of the file with \`blindference models verify ID --write-manifest FILE\`.",
    ]
  `);
});
