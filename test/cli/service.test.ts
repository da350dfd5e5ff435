import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launchdPlist } from "../../src/cli/service/launchd.ts";
import { checkPlan, type ServicePlan, servicePaths } from "../../src/cli/service/plan.ts";
import { systemdUnit } from "../../src/cli/service/systemd.ts";
import { outputs } from "../../src/cli/service.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { document } from "./document.ts";
import { errorText, failure } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const isLinux = process.platform === "linux";
const analyze = isLinux ? Bun.which("systemd-analyze") : null;
if (!analyze) console.warn("The systemd units are not verified: there is no systemd-analyze.");
const python = Bun.which("python3");
if (!python) console.warn("The property list is not parsed: there is no python3.");

const plan: ServicePlan = {
  manager: "systemd",
  system: true,
  path: "/etc/systemd/system/blindference.service",
  command: ["/bin/true", "run"],
  directory: "/var/lib/node",
  passwordFile: "/etc/blindference/password",
  user: "node",
  memoryMax: "85%",
};

type Installed = { path: string; written: boolean; passwordFile: string; warnings: string[]; next: string[] };

describe.skipIf(!isLinux)("service install on Linux", () => {
  test("writes the unit of this user once, starts nothing, and says what to run", async () => {
    using home = tempDirectory();
    using node = nodeDirectory();
    const env = { ...node.env, HOME: home.path };
    const install = () => document<Installed>(["service", "install"], { env }, outputs, "service install");
    const first = await install();
    expect(first.path).toBe(join(home.path, ".config/systemd/user/blindference.service"));
    expect(first).toMatchObject({ written: true, passwordFile: join(node.dir, "password"), warnings: [] });
    expect(first.next.join("\n")).toContain("systemctl --user enable --now blindference");
    expect(statSync(first.path).mode & 0o777).toBe(0o644);
    expect(await install()).toMatchObject({ written: false });
    const printed = await runCli(["service", "print"], { env });
    expect(printed.stdout).toBe(readFileSync(first.path, "utf8"));

    const uninstall = () => document<object>(["service", "uninstall"], { env }, outputs, "service uninstall");
    expect(await uninstall()).toMatchObject({ removed: true, path: first.path });
    expect(existsSync(first.path)).toBe(false);
    expect(await uninstall()).toMatchObject({ removed: false, next: [] });
  });

  test("names what the service will not see of this shell, and shows no value", async () => {
    using home = tempDirectory();
    using node = nodeDirectory();
    const env = {
      ...node.unlocked,
      HOME: home.path,
      XDG_CONFIG_HOME: join(home.path, "config"),
      BLF_LOG_LEVEL: "debug",
      BLF_IPFS_UPLOAD_JWT: "canary",
    };
    const { path, warnings } = await document<Installed>(["service", "install"], { env }, outputs, "service install");
    expect(path).toStartWith(join(home.path, "config/systemd/user"));
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("BLF_LOG_LEVEL of this shell");
    expect(warnings[1]).toContain(`BLF_IPFS_UPLOAD_JWT: put them into ${join(node.dir, "environment")}`);
    expect(`${readFileSync(path, "utf8")}${warnings.join()}`).not.toMatch(/canary|correct horse/);
  });

  test("a unit of somebody else is left alone", async () => {
    using home = tempDirectory();
    using node = nodeDirectory();
    const directory = join(home.path, ".config/systemd/user");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "blindference.service"), "[Service]\nExecStart=/bin/true\n");
    const env = { ...node.env, HOME: home.path };
    for (const command of ["install", "uninstall"])
      expect(await failure(["service", command], { env }, home.path)).toBe(
        "1 DIR/.config/systemd/user/blindference.service was not written by this program [SERVICE_FILE_FOREIGN] | It is left alone: move it away first.",
      );
    expect(readFileSync(join(directory, "blindference.service"), "utf8")).toBe("[Service]\nExecStart=/bin/true\n");
  });
});

test("options that make no sense are refused before anything is written", async () => {
  using home = tempDirectory();
  using node = nodeDirectory();
  const env = { ...node.env, HOME: home.path };
  const lines: string[] = [];
  for (const args of [
    ["--memory-max", "lots"],
    ["--memory-max", "101%"],
    ["--user", "no body"],
    ["--for", "upstart"],
  ])
    lines.push(errorText(await runCli(["service", "print", ...args], { env })));
  expect(new Set(lines.map((line) => line[0]))).toEqual(new Set(["2"]));
  expect(lines).toMatchInlineSnapshot(`
    [
      "2 --memory-max must be a size such as 12G, a share such as 85%, or infinity [USAGE_INVALID_OPTION] | Run \`blindference service install --help\`.",
      "2 --memory-max must be a size such as 12G, a share such as 85%, or infinity [USAGE_INVALID_OPTION] | Run \`blindference service install --help\`.",
      "2 --user must be the name of an account [USAGE_INVALID_OPTION] | Run \`blindference service install --help\`.",
      "2 --for must be systemd or launchd [USAGE_INVALID_OPTION] | Run \`blindference service print --help\`.",
    ]
  `);
  expect(existsSync(join(home.path, ".config"))).toBe(false);
});

describe("the systemd unit", () => {
  const settings = (unit: string) => unit.split("\n").filter((line) => /^[A-Z]\w+=/.test(line));

  test("holds the node back and gives it its password as a credential", () => {
    expect(settings(systemdUnit(plan))).toEqual(
      expect.arrayContaining([
        "User=node",
        "LoadCredential=password:/etc/blindference/password",
        "Environment=BLF_KEY_PASSWORD_FILE=%d/password",
        "MemoryMax=85%",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ReadWritePaths=/var/lib/node",
        "Restart=on-failure",
        "KillSignal=SIGTERM",
        "TimeoutStopSec=310",
        "CapabilityBoundingSet=",
      ]),
    );
    const unset = settings(systemdUnit(plan)).find((line) => line.startsWith("UnsetEnvironment="))!;
    for (const name of ["BUN_OPTIONS", "BUN_BE_BUN", "NODE_OPTIONS"]) expect(unset).toContain(name);
  });

  test("a user's manager gets only what it can do", () => {
    const unit = settings(systemdUnit({ ...plan, system: false }));
    expect(unit).toEqual(
      expect.arrayContaining(["ProtectSystem=strict", "PrivateUsers=yes", "WantedBy=default.target"]),
    );
    expect(unit.filter((line) => /^(User|CapabilityBoundingSet|ProtectKernel\w+)=/.test(line))).toEqual([]);
  });

  test.skipIf(!analyze)("is free of complaints from systemd, for plain paths and for strange ones", () => {
    using directory = tempDirectory();
    const strange = join(directory.path, 'a "strange" 100% $HOME dir');
    const programs = join(directory.path, "100% $HOME programs");
    for (const path of [strange, programs]) mkdirSync(path);
    copyFileSync("/bin/true", join(programs, "blindference"));
    chmodSync(join(programs, "blindference"), 0o755);
    const verify = (unit: string, name: string, ...flags: string[]) => {
      const path = join(directory.path, name);
      writeFileSync(path, unit);
      const { stdout, stderr } = Bun.spawnSync([analyze!, "verify", "--man=no", ...flags, path], {
        env: { PATH: process.env["PATH"]!, HOME: directory.path, XDG_RUNTIME_DIR: directory.path },
      });
      return `${stdout}${stderr}`.trim();
    };
    for (const system of [true, false]) {
      const flags = system ? [] : ["--user"];
      expect(verify(systemdUnit({ ...plan, system }), "blindference.service", ...flags)).toBe("");
      const odd = {
        ...plan,
        system,
        directory: strange,
        passwordFile: join(strange, "password"),
        command: [join(programs, "blindference"), "run"],
      };
      expect(verify(systemdUnit(odd), "blindference.service", ...flags)).toBe("");
    }
    // A unit that systemd does complain about, so that silence means something.
    expect(verify(systemdUnit(plan).replace("strict", "bogus"), "wrong.service")).toContain("bogus");
  });
});

describe("the launchd property list", () => {
  const macos: ServicePlan = { ...plan, manager: "launchd", system: false, directory: "/Users/a & b/<node>" };

  test("service print --for launchd prints one anywhere", async () => {
    using node = nodeDirectory();
    const shown = await document<{ path: string; content: string }>(
      ["service", "print", "--for", "launchd"],
      node,
      outputs,
      "service print",
    );
    expect(shown.path).toEndWith("/Library/LaunchAgents/xyz.blindference.node.plist");
    expect(shown.content).toStartWith("<?xml");
  });

  test.skipIf(!python)("reads back as what was meant", () => {
    const script = "import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))";
    const { stdout } = Bun.spawnSync([python!, "-c", script], { stdin: new TextEncoder().encode(launchdPlist(macos)) });
    expect(JSON.parse(stdout.toString())).toMatchObject({
      Label: "xyz.blindference.node",
      ProgramArguments: expect.arrayContaining(["-u", "BUN_OPTIONS", "/bin/true", "run"]),
      EnvironmentVariables: { BLF_CONFIG_DIR: macos.directory, BLF_KEY_PASSWORD_FILE: plan.passwordFile },
      KeepAlive: { SuccessfulExit: false },
      ExitTimeOut: 310,
      Umask: 0o077,
    });
  });

  test("a service of the machine names its account", () => {
    expect(launchdPlist(macos)).not.toContain("UserName");
    expect(launchdPlist({ ...macos, system: true })).toContain("<key>UserName</key>\n  <string>node</string>");
  });
});

test("service files lie where their manager looks", () => {
  const where = { home: "/home/me", directory: "/data" };
  const paths = [true, false].flatMap((system) =>
    (["systemd", "launchd"] as const).map((manager) => servicePaths({ ...where, manager, system })),
  );
  expect(paths).toEqual([
    { path: "/etc/systemd/system/blindference.service", passwordFile: "/etc/blindference/password" },
    { path: "/Library/LaunchDaemons/xyz.blindference.node.plist", passwordFile: "/data/password" },
    { path: "/home/me/.config/systemd/user/blindference.service", passwordFile: "/data/password" },
    { path: "/home/me/Library/LaunchAgents/xyz.blindference.node.plist", passwordFile: "/data/password" },
  ]);
});

test("a path that could add a line to the file is refused", () => {
  expect(() => checkPlan({ ...plan, directory: "/data\nExecStartPre=/bin/rm" })).toThrow("control character");
  expect(() => checkPlan({ ...plan, command: ['/opt/"x"/blindference', "run"] })).toThrow("quotation mark");
});
