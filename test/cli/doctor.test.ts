import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { outputs } from "../../src/cli/doctor.ts";
import type { DoctorReport } from "../../src/doctor/report.ts";
import { createDoctorNode, red, startDoctorDevnet } from "../doctor/world.ts";
import { document } from "./document.ts";
import { emptyDirectory, nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(90_000);

const schema = outputs["doctor"]!;

/** A report of a command that ended with this exit code. */
async function report(args: string[], env: Record<string, string>, exitCode: number): Promise<DoctorReport> {
  const { code, stdout, stderr } = await runCli(["doctor", ...args, "--json"], { env });
  expect([code, stderr]).toEqual([exitCode, ""]);
  return schema.parse(JSON.parse(stdout)) as DoctorReport;
}

test("a healthy node that runs on a devnet is all green within 3 s", async () => {
  const devnet = await startDoctorDevnet();
  const node = await createDoctorNode(devnet);
  try {
    await node.run();
    const found = await document<DoctorReport>(["doctor", "--strict"], node, outputs, "doctor");
    expect(red(found)).toEqual([]);
    expect(found.healthy).toBe(true);
    expect(found.ms).toBeLessThanOrEqual(3000);
    expect(found.findings.length).toBeGreaterThanOrEqual(20);

    const text = await runCli(["doctor"], node);
    expect([text.code, text.stderr]).toEqual([0, ""]);
    expect(text.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
    for (const { title } of found.findings)
      expect(text.stdout).toMatch(new RegExp(`^(ok|info) +${RegExp.escape(title)} `, "m"));

    const health = await document<DoctorReport>(["doctor", "--healthcheck"], node, outputs, "doctor");
    expect(health.findings).toEqual([
      { id: "node", title: "node on this machine", severity: "ok", detail: "running and ready", remedy: null },
    ]);

    const env = { ...node.env, BLF_SKIP_OUTPUT_KEY_STORAGE: "true" };
    expect(red(await report([], env, 0))).toEqual(["key-store"]);
    expect(red(await report(["--strict"], env, 1))).toEqual(["key-store"]);
    const warned = await runCli(["doctor", "--strict"], { env });
    expect(warned.stdout).toMatch(/^warning +storing of output keys .*\n +→ Run `blindference config set/m);
    expect(warned.stdout).toMatch(/, 1 warning, 0 errors in \d+\.\d s\n$/);
  } finally {
    await node.stop();
    await devnet.stop();
  }
});

describe("without a usable node", () => {
  const offline = {
    BLF_NETWORK: "devnet",
    BLF_RPC_URL: "http://127.0.0.1:1",
    BLF_ICL_ENDPOINT: "http://127.0.0.1:1",
    BLF_PAYMENT_SERVICE_URL: "http://127.0.0.1:1",
  };

  test("the machine is looked at, and what is missing is said", async () => {
    using directory = emptyDirectory();
    const found = await report([], { ...directory.env, ...offline }, 1);
    expect(red(found)).toEqual(expect.arrayContaining(["configuration", "rpc", "icl", "payment"]));
    const configuration = found.findings.find(({ id }) => id === "configuration")!;
    expect(configuration.detail).toBe(`there is no node in ${directory.path}`);
    expect(configuration.remedy).toContain("`blindference init`");
    expect(found.findings.find(({ id }) => id === "keystore")?.detail).toBe("not checked: there is no node here yet");
  });

  test("a configuration that cannot be used is a finding, and the only one in red", async () => {
    using node = nodeDirectory({ icl_endpont: "https://icl.example.org" });
    const found = await report([], node.env, 1);
    expect(red(found)).toEqual(["configuration"]);
    const { detail, remedy } = found.findings.find(({ id }) => id === "configuration")!;
    expect(detail).toBe(`${node.dir}/config.json has the unknown key "icl_endpont"`);
    expect(remedy).toBe('Did you mean "icl_endpoint"?');
  });

  test("a network that is down ends in findings, soon", async () => {
    using node = nodeDirectory();
    const found = await report([], { ...node.env, BLF_IPFS_UPLOAD_JWT: "canary" }, 1);
    expect(red(found)).toEqual(expect.arrayContaining(["rpc", "icl", "payment", "certificate", "models"]));
    expect(found.ms).toBeLessThan(20_000);
    expect(JSON.stringify(found)).not.toContain("canary");
  });

  test("--healthcheck fails without a node that runs", async () => {
    using node = nodeDirectory();
    const found = await report(["--healthcheck"], { ...node.env, BLF_STATUS_PORT: "1" }, 1);
    expect(found.findings).toMatchObject([{ id: "node", severity: "error", detail: "no running node answers" }]);
  });
});
