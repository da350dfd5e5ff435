import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { until } from "../helpers/until.ts";
import { modelOfSize, serveModel, sha256 } from "../inference/model-server.ts";
import { errorText } from "./expect-error.ts";
import { useModelNodes } from "./model-nodes.ts";

setDefaultTimeout(120_000);

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const chunkSize = 8 * 1024 * 1024;
const { node } = useModelNodes();

describe("models pull", () => {
  const model = modelOfSize(3 * chunkSize + 12_345);
  const hash = sha256(model);
  const token = "hf_canary_token";

  test("a repository of the hub: its only GGUF, its hash, its token; then verify, and remove with the file", async () => {
    const listing = JSON.stringify({ siblings: [{ rfilename: "README.md" }, { rfilename: "sub/Tiny-Q8.gguf" }] });
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${listing.length}\r\nConnection: close\r\n\r\n${listing}`;
    using store = await serveModel(model);
    using hub = await serveModel(model, {
      instead: ({ path }) =>
        path.startsWith("/api/")
          ? answer
          : `HTTP/1.1 302 Found\r\nLocation: ${store.url}/blob\r\nX-Linked-Etag: "${hash}"\r\nConnection: close\r\n\r\n`,
    });
    using at = node({ model_hub_url: hub.url });
    const pulled = await at.json(["models", "pull", "owner/repo-GGUF"], { env: { HF_TOKEN: token } });
    const path = join(at.models, "tiny-q8.gguf");
    expect(pulled).toEqual({
      ok: true,
      id: "tiny-q8",
      path,
      bytes: model.length,
      sha256: hash,
      checkedAgainst: "hub",
      downloaded: true,
      resumedBytes: 0,
      refetchedChunks: 0,
      notices: [],
    });
    expect(hub.requests.map((request) => request.path)).toEqual([
      "/api/models/owner/repo-GGUF",
      "/owner/repo-GGUF/resolve/main/sub/Tiny-Q8.gguf",
    ]);
    expect(hub.requests.every(({ headers }) => headers["authorization"] === `Bearer ${token}`)).toBe(true);
    expect(JSON.stringify(store.requests)).not.toContain(token);
    expect(at.config()["models"]).toEqual({ "tiny-q8": { path, sha256: hash } });
    expect(readdirSync(at.models)).toEqual(["tiny-q8.gguf"]);

    const again = await at.json(["models", "pull", "owner/repo-GGUF:sub/Tiny-Q8.gguf"]);
    expect(again).toMatchObject({ downloaded: false, sha256: hash });
    expect(await at.json(["models", "verify"])).toMatchObject({ models: [{ id: "tiny-q8", status: "ok" }] });
    const removed = await at.json(["models", "remove", "tiny-q8", "--delete-file"]);
    expect([removed["deletedFile"], readdirSync(at.models)]).toEqual([path, []]);
  });

  test("with a manifest that verify wrote", async () => {
    using at = node();
    at.write("good.gguf", model);
    await at.json(["models", "add", `good=${join(at.dir, "good.gguf")}`]);
    const manifest = join(at.dir, "good.json");
    expect(await at.json(["models", "verify", "good", "--write-manifest", manifest])).toMatchObject({ manifest });
    let flipped = false;
    using server = await serveModel(model, {
      tamper: (body, { start }) => {
        if (start !== chunkSize || flipped) return body;
        flipped = true;
        return body.map((byte, index) => (index === 5 ? byte ^ 1 : byte));
      },
    });
    const pulled = await at.json(["models", "pull", `${server.url}/m.gguf`, "--manifest", manifest]);
    expect(pulled).toMatchObject({ checkedAgainst: "manifest", sha256: hash, refetchedChunks: 1 });
  });

  test("tells a person how far it is, in plain lines without a terminal", async () => {
    using at = node();
    using server = await serveModel(model);
    const { code, stdout, stderr } = await at.run(["models", "pull", `${server.url}/Some-Model.gguf`]);
    expect(code).toBe(0);
    expect(stderr).toContain("some-model  100 %  25.2 of 25.2 MB");
    expect(stdout).toContain("note    nobody named a SHA-256 to compare with");
    expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  test("refuses a repository with several files and a file that is there already, in words", async () => {
    const files = ["a-q4.gguf", "a-q8.gguf", "b-00001-of-00002.gguf"].map((rfilename) => ({ rfilename }));
    const body = JSON.stringify({ siblings: files });
    using hub = await serveModel(model, {
      instead: ({ path }) =>
        path.includes("several")
          ? `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
          : path.includes("nothing")
            ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            : undefined,
    });
    using at = node({ model_hub_url: hub.url });
    mkdirSync(at.models);
    writeFileSync(join(at.models, "m.gguf"), buildTinyModel({ layers: 1, dim: 32, ff: 32 }));
    const lines: string[] = [];
    for (const what of ["o/several", "o/nothing", `${hub.url}/m.gguf`])
      lines.push(errorText(await at.run(["models", "pull", what]), at.dir));
    expect(lines).toMatchInlineSnapshot(`
      [
        "2 The repository o/several has 2 GGUF files [PULL_FILE_AMBIGUOUS] | Name one: o/several:FILE, of a-q4.gguf, a-q8.gguf",
        "1 The server at http://127.0.0.1:PORT has no such file (HTTP 404) [PULL_NOT_FOUND] | Check the repository, the name of the file and upper case.",
        "1 There is another file, or one that nobody vouches for, at DIR/models/m.gguf [MODEL_FILE_EXISTS] | Give --sha256 if you know it, choose another --id, or delete that file.",
      ]
    `);
    expect(readdirSync(at.models)).toEqual(["m.gguf"]);
  });

  test.each(["SIGKILL", "SIGINT"] as const)("goes on where %s stopped it", async (signal) => {
    const large = modelOfSize(8 * chunkSize);
    const gate = Promise.withResolvers<void>();
    let held = true;
    using server = await serveModel(large, {
      pause: ({ start }) => (held && start >= 4 * chunkSize ? gate.promise : undefined),
    });
    using at = node();
    const args = ["models", "pull", `${server.url}/m.gguf`, "--sha256", sha256(large), "--json"];
    const child = Bun.spawn([process.execPath, main, ...args], {
      env: { PATH: "/usr/bin:/bin", HOME: at.dir, ...at.env },
      stdout: "pipe",
      stderr: "pipe",
    });
    const state = join(at.models, "m.gguf.part.json");
    const chunks = () => Object.keys((JSON.parse(readFileSync(state, "utf8")) as { chunks: object }).chunks).length;
    await until("four chunks are written down", () => existsSync(state) && chunks() === 4);
    await until("the others are asked for", () => server.fetches(chunkSize).every((count) => count === 1));
    child.kill(signal);
    const stdout = await child.stdout.text();
    expect([await child.exited, child.signalCode]).toEqual(signal === "SIGKILL" ? [137, "SIGKILL"] : [1, null]);
    if (signal === "SIGINT") expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: "INTERRUPTED" } });
    held = false;
    gate.resolve();
    const result = await at.json(args.slice(0, -1));
    expect(result).toMatchObject({ resumedBytes: 4 * chunkSize, refetchedChunks: 0, sha256: sha256(large) });
    expect(server.fetches(chunkSize)).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
    expect(sha256(readFileSync(join(at.models, "m.gguf")))).toBe(sha256(large));
    expect(readdirSync(at.models)).toEqual(["m.gguf"]);
  });

  const canMount =
    process.platform === "linux" &&
    Bun.spawnSync(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stderr: "ignore" }).exitCode === 0;
  if (!canMount) console.warn("no mount namespaces here: the test of a full disk is skipped");

  test.skipIf(!canMount)(
    "of a disk that fills up: says so, keeps what it has, and goes on when there is room",
    async () => {
      using at = node();
      mkdirSync(at.models);
      const [full, filled] = [join(at.dir, "fill-now"), join(at.dir, "is-full")];
      using server = await serveModel(model, {
        pause: ({ start }) => {
          if (start !== 2 * chunkSize || existsSync(filled)) return undefined;
          writeFileSync(full, "");
          return until("the disk is full", () => existsSync(filled)).then(() => {});
        },
      });
      const script = `
      mount -t tmpfs -o size=30m tmpfs "$1"; shift
      ( until [ -e ${full} ]; do sleep 0.02; done
        dd if=/dev/zero of=${at.models}/fill bs=64k count=1000 2>/dev/null; touch ${filled} ) &
      "$@"; echo "first $?"
      ls ${at.models}
      dd if=/dev/zero of=${at.models}/fill bs=1M count=12 2>/dev/null
      "$@"; echo "second $?"
      rm ${at.models}/fill
      "$@"; echo "third $?"
      wait`;
      const command = ["unshare", "-rm", "sh", "-c", script, "sh", at.models, process.execPath, main];
      const args = ["models", "pull", `${server.url}/m.gguf`, "--sha256", hash, "--connections", "1"];
      const { stdout, stderr } = await at.run(args, { command });
      expect(stderr.match(/\[(FILE_ENOSPC|DISK_FULL)\]/g)).toEqual(["[FILE_ENOSPC]", "[DISK_FULL]"]);
      expect(stdout).toContain("first 1\nfill\nm.gguf.part\nm.gguf.part.json\nsecond 1\nmodel    m\n");
      expect(stdout).toMatch(/resumed +(8\.39|16\.8) MB were there[\s\S]*third 0\n$/);
      expect(server.fetches(chunkSize)[0]).toBe(1);
    },
  );
});
