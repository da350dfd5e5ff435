import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { startDevnet } from "../../src/devnet/devnet.ts";
import { mockOutput } from "../../src/inference/mock.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import {
  buildImageRoot,
  canBeContainerEngine,
  dockerfile,
  inBaseStage,
  inImage,
  instruction,
  isolated,
} from "./image.ts";

setDefaultTimeout(180_000);

const repository = join(import.meta.dir, "..", "..");
const entrypoint = instruction("ENTRYPOINT");

type Service = { command: string[]; environment: Record<string, string>; network_mode?: string };
const compose = Bun.YAML.parse(readFileSync(join(repository, "compose.yaml"), "utf8")) as {
  services: Record<string, Service>;
};
const { services } = compose;

describe("the Dockerfile", () => {
  test("starts the node from scratch, as nobody in particular, and asks the node itself for its health", () => {
    const lastStage = dockerfile.slice(dockerfile.lastIndexOf("FROM "));
    expect(lastStage).toStartWith("FROM scratch\n");
    expect(lastStage).toContain("\nUSER 65532:65532\n");
    expect(lastStage).not.toMatch(/^RUN/m);
    expect(entrypoint).toEqual(["/blindference"]);
    expect(instruction("HEALTHCHECK")).toEqual(["/blindference", "doctor", "--healthcheck"]);
  });

  test("sends nothing but the executable to the engine", () => {
    expect(readFileSync(join(repository, ".dockerignore"), "utf8")).toBe("*\n!dist/blindference\n");
  });
});

test("compose.yaml names the contracts where every devnet deploys them", async () => {
  const log = createLogger({ level: "error", format: "text", clock, write: () => {} });
  const devnet = await startDevnet({ portBase: 0, clock, log });
  await devnet.stop();
  const { environment } = services["node-1"]!;
  const fixed = Object.entries(devnet.variables).filter(([, value]) => !value.startsWith("http"));
  expect(environment).toMatchObject(Object.fromEntries(fixed));
  expect(Object.keys(environment)).toEqual(expect.arrayContaining(Object.keys(devnet.variables)));
});

describe.skipIf(!canBeContainerEngine)("the image's root file system", () => {
  test("holds the executable, five libraries and three small files", () => {
    using image = buildImageRoot();
    const files = readdirSync(image.root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .filter((name) => !/^(lib(c|m|dl|pthread)|ld-linux.*)\.so\.\d+$/.test(name));
    expect(files.sort()).toEqual(["blindference", "group", "nsswitch.conf", "passwd"]);
    const { uid, mode } = statSync(join(image.root, "data"));
    expect([uid, mode & 0o777]).toEqual([65532, 0o700]);
  });

  test("runs --version and a whole demo, not as root and without a shell", async () => {
    using image = buildImageRoot();
    const version = await isolated(image.root, inImage(image.root, [...entrypoint, "--version"]));
    expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^blindference \d+\.\d+\.\d+\n$/) });
    const demo = await isolated(image.root, inImage(image.root, [...entrypoint, "demo", "--json"]));
    expect(demo.code, demo.stderr).toBe(0);
    const report = JSON.parse(demo.stdout) as { ok: boolean; answer: string; nodes: { agreed: boolean }[] };
    expect(report.ok).toBe(true);
    expect(report.answer.length).toBeGreaterThan(10);
    expect(report.nodes.map(({ agreed }) => agreed)).toEqual([true, true, true]);
  });

  test("is what compose.yaml makes a network of: three healthy nodes answer a requester", async () => {
    using image = buildImageRoot();
    const { root } = image;
    const run = (name: string, args = services[name]!.command ?? ["run"]) =>
      inImage(root, [...entrypoint, ...args], services[name]!.environment);
    const setup = services["setup"]!;
    const script = setup.command[0]!.replaceAll("$$", "$");
    const nodes = ["node-1", "node-2", "node-3"];
    for (const name of ["setup", "requester", ...nodes]) expect(services[name]!.network_mode).toBe("service:devnet");
    const { code, stdout, stderr } = await isolated(
      root,
      `${run("devnet")} > /dev/null &
${inBaseStage(root, script, setup.environment)} > /dev/null
${nodes.map((name) => `${run(name)} 2> /dev/null &`).join("\n")}
${nodes.map((name) => `until ${run(name, ["doctor", "--healthcheck"])} > /dev/null; do sleep 0.5; done`).join("\n")}
${run("requester", ["infer", "What is confidential?", "--model", "mock-model", "--deposit", "1", "--json"])}
# A second start finds running nodes and leaves them alone.
${inBaseStage(root, script, setup.environment)} > /dev/null
${run("node-1", ["doctor", "--healthcheck"])} > /dev/null
kill $(jobs -p)
`,
    );
    expect(code, stderr).toBe(0);
    const answer = JSON.parse(stdout) as { ok: boolean; answer: string };
    expect(answer).toMatchObject({ ok: true, answer: mockOutput("mock-model", "What is confidential?") });
  });
});
