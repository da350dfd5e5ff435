import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { emptyDirectory, nodeDirectory, password } from "./node-directory.ts";
import { type CliOptions, runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const executable = fileURLToPath(new URL("../../dist/blindference", import.meta.url));

/** A working directory in which somebody has left files that configure other programs, each of them hostile. */
function hostileDirectory() {
  const dir = mkdtempSync(join(tmpdir(), "blf-stray-"));
  const write = (name: string, content: string) => {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), content);
  };
  const evil = `require("node:fs").writeFileSync(${JSON.stringify(join(dir, "pwned"))}, "x"); process.stdout.write("pwned");`;
  const variables =
    "BLF_LOG_LEVEL=loud\nBLF_NOT_A_VARIABLE=1\nBLF_ICL_ENDPOINT=https://evil.example\nBLF_KEY_PASSWORD=evil\n";
  for (const name of [".env", ".env.local", ".env.production", ".env.development"]) write(name, variables);
  write("bunfig.toml", 'preload = ["./evil.ts"]\n[run]\nbun = true\n');
  write("evil.ts", evil);
  const packages = ["commander", "zod", "viem", "viem/accounts", "hono", "bun"];
  const paths = Object.fromEntries([...packages, "*"].map((name) => [name, ["./evil.ts"]]));
  write("tsconfig.json", JSON.stringify({ compilerOptions: { baseUrl: ".", paths, jsxImportSource: "./evil" } }));
  write("jsconfig.json", JSON.stringify({ compilerOptions: { baseUrl: ".", paths } }));
  const imports = Object.fromEntries(packages.map((name) => [`#${name}`, "./evil.ts"]));
  write("package.json", JSON.stringify({ name: "blindference", type: "commonjs", main: "./evil.ts", imports }));
  write("config.json", '{"tier":2,"log_level":"loud"}');
  for (const name of packages) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: "index.js" }));
    write(`node_modules/${name}/index.js`, evil);
  }
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

describe.skipIf(!existsSync(executable))("the compiled file (skipped when dist/blindference is not built)", () => {
  let hostile: ReturnType<typeof hostileDirectory>;
  beforeAll(() => {
    hostile = hostileDirectory();
  });
  afterAll(() => hostile[Symbol.dispose]());

  /** The same command in an empty directory and in the hostile one. */
  async function both(args: string[], options: CliOptions = {}) {
    const command = [executable];
    const [clean, stray] = await Promise.all([
      runCli(args, { ...options, command }),
      runCli(args, { ...options, command, cwd: hostile.dir }),
    ]);
    return { clean, stray };
  }

  test("the plain runtime does fall into the trap that these tests set", async () => {
    using trap = hostileDirectory();
    const { stdout } = await runCli(["-e", "console.log(process.env.BLF_LOG_LEVEL)"], {
      command: [process.execPath],
      cwd: trap.dir,
    });
    expect(stdout).toBe("pwnedloud\n");
    expect(existsSync(join(trap.dir, "pwned"))).toBe(true);
  });

  test.each(
    [["--version"], ["--help"], ["help", "run"], ["statsu"]].map((args) => [args.join(" "), args] as const),
  )("%s does not care about its working directory", async (_name, args) => {
    const { clean, stray } = await both([...args]);
    expect(stray).toEqual(clean);
    expect(existsSync(join(hostile.dir, "pwned"))).toBe(false);
  });

  test("nor do commands that read the configuration, unlock the wallet and speak to the network", async () => {
    using node = nodeDirectory();
    for (const args of [["status"], ["attest"], ["staking", "status"], ["infer", "x", "--model", "m"]]) {
      const { clean, stray } = await both([...args, "--json"], { env: node.unlocked });
      expect(stray).toEqual(clean);
      expect(clean.stdout).toContain('"ok"');
    }
    expect(existsSync(join(hostile.dir, "pwned"))).toBe(false);
  });

  test("the password is not taken from a stray .env, nor is a wallet made with it", async () => {
    using node = nodeDirectory();
    using empty = emptyDirectory();
    const command = [executable];
    const attest = await runCli(["attest", "--json"], { env: node.env, command, cwd: hostile.dir });
    const init = await runCli(["init", "--json"], { env: empty.env, command, cwd: hostile.dir });
    for (const { code, stdout } of [attest, init]) {
      expect(code).toBe(4);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: "PASSWORD_MISSING" } });
    }
    expect(readdirSync(empty.dir)).toEqual([]);
  });

  test("the engine's process and the daemon start there as elsewhere", async () => {
    using node = nodeDirectory({ rpc_url: "http://127.0.0.1:1" });
    const { code, stdout, stderr } = await runCli(["run", "--log-format", "json"], {
      env: { ...node.unlocked, BLF_KEY_PASSWORD: password },
      command: [executable],
      cwd: hostile.dir,
      signal: { after: '"node ready"', name: "SIGTERM" },
    });
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toContain('"message":"node stopped"');
    expect(existsSync(join(hostile.dir, "pwned"))).toBe(false);
  });
});
