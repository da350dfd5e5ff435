import { version } from "../../lib/version.ts";
import { type Check, failed, ok, warning } from "../check.ts";

/** The oldest C library that llama.cpp's libraries run on. */
const oldestGlibc = [2, 34] as const;

/** Variables of the runtime that are harmless, and that this program sets itself for its children. */
const harmless = [
  "BUN_FEATURE_FLAG_NO_ORPHANS",
  "BUN_ENABLE_CRASH_REPORTING",
  "BUN_INSTALL",
  "BUN_RUNTIME_TRANSPILER_CACHE_PATH",
];

export const versionCheck: Check = {
  id: "version",
  title: "version",
  needs: "machine",
  async run({ system, node, problem }) {
    const own = `blindference ${version} with Bun ${Bun.version} on ${system.platform}-${system.arch}`;
    const running = problem ? undefined : (await node()).report?.version;
    if (running === undefined || running === version) return [ok(this, own)];
    return [
      warning(this, `${own}, but the node that runs is ${running}`, "Restart the node, so that it runs this version."),
    ];
  },
};

export const glibcCheck: Check = {
  id: "glibc",
  title: "C library",
  needs: "machine",
  async run({ system }) {
    if (system.platform !== "linux") return [ok(this, "the system's own")];
    const found = system.glibc();
    const remedy = `Run on a distribution with glibc ${oldestGlibc.join(".")} or later, such as Debian 12 or Ubuntu 22.04.`;
    const [major = 0, minor = 0] = (found ?? "").split(".").map(Number);
    if (found === undefined) return [warning(this, "not glibc, or of an unknown version", remedy)];
    const isRecent = major > oldestGlibc[0] || (major === oldestGlibc[0] && minor >= oldestGlibc[1]);
    if (isRecent) return [ok(this, `glibc ${found}`)];
    return [failed(this, `glibc ${found} is too old for the inference engine`, remedy)];
  },
};

export const runtimeVariablesCheck: Check = {
  id: "runtime-variables",
  title: "variables of the runtime",
  needs: "machine",
  async run({ env }) {
    const names = Object.keys(env).filter(
      (name) => (/^BUN_/.test(name) && !harmless.includes(name)) || name === "NODE_TLS_REJECT_UNAUTHORIZED",
    );
    if (names.length === 0) return [ok(this, "none is set that changes how the program starts")];
    const remedy = `Unset them: unset ${names.sort().join(" ")}`;
    return [warning(this, `${names.join(", ")} can change what this program does before it starts`, remedy)];
  },
};

export const configurationCheck: Check = {
  id: "configuration",
  title: "configuration",
  needs: "machine",
  async run({ problem, exists, config }) {
    if (problem) return [failed(this, problem.message, problem.hint)];
    if (exists) return [ok(this, `${config.dir} for ${config.network}`)];
    const remedy = "Run `blindference init`, or set BLF_CONFIG_DIR to the directory of an existing node.";
    return [failed(this, `there is no node in ${config.dir}`, remedy)];
  },
};
