/**
 * Packages whose installation would run scripts. Ours never does (`--ignore-scripts`): what they would have done is not needed. Which
 * they are is written down, so that a new one, or another script, is noticed.
 *
 *   bun native/install-scripts.ts           writes native/install-scripts.json
 *   bun native/install-scripts.ts --check   exits 1 when what is installed is not what the committed file says
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "..");
const committed = join(import.meta.dir, "install-scripts.json");
const stages = ["preinstall", "install", "postinstall"] as const;

/** By `name@version`: the scripts by the stage that runs them. */
export type InstallScripts = Record<string, Record<string, string>>;

/** The scripts of everything in a directory's node_modules. */
export function installScriptsIn(directory: string): InstallScripts {
  const found: InstallScripts = {};
  for (const path of new Bun.Glob("node_modules/**/package.json").scanSync({ cwd: directory, dot: true })) {
    // A package's own package.json, and not one deep inside of it.
    if (!/(^|\/)node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path)) continue;
    const { name, version, scripts = {} } = JSON.parse(readFileSync(join(directory, path), "utf8")) as Manifest;
    const own = stages.flatMap((stage) => (scripts[stage] ? [[stage, scripts[stage]] as const] : []));
    // npm builds what has a binding.gyp without being told to.
    if (existsSync(join(directory, dirname(path), "binding.gyp")) && !scripts["install"])
      own.push(["install", "node-gyp rebuild"]);
    if (own.length > 0) found[`${name}@${version}`] = Object.fromEntries(own);
  }
  return sorted(found);
}

type Manifest = { name: string; version: string; scripts?: Record<string, string> };

export function committedScripts(): InstallScripts {
  return JSON.parse(readFileSync(committed, "utf8")) as InstallScripts;
}

/** What differs between the packages that are installed and what was written down, in words; nothing when all is well. */
export function unexpectedScripts(installed: InstallScripts, known: InstallScripts, lock: string): string[] {
  const news = Object.entries(installed).filter(
    ([id, scripts]) => JSON.stringify(scripts) !== JSON.stringify(known[id]),
  );
  const gone = Object.keys(known).filter((id) => !lock.includes(`["${id}"`));
  return [
    ...news.map(([id, scripts]) => `${id} would run ${JSON.stringify(scripts)}`),
    ...gone.map((id) => `${id} is not in bun.lock any more`),
  ];
}

function sorted(scripts: InstallScripts): InstallScripts {
  return Object.fromEntries(Object.entries(scripts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

if (import.meta.main) {
  const installed = installScriptsIn(root);
  const lock = readFileSync(join(root, "bun.lock"), "utf8");
  if (!process.argv.includes("--check")) writeFileSync(committed, `${JSON.stringify(installed, null, 2)}\n`);
  else {
    const unexpected = unexpectedScripts(installed, committedScripts(), lock);
    if (unexpected.length > 0) {
      console.error(`${unexpected.join("\n")}\nLook at them, then run native/install-scripts.ts.`);
      process.exitCode = 1;
    }
  }
}
