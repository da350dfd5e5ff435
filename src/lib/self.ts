/** Whether this is the compiled executable, in which sources live under a virtual root. */
export const isCompiled = Bun.main.startsWith("/$bunfs/") || Bun.main.startsWith("B:\\~BUN\\");

/** The command line that starts this same program with other arguments. */
export function selfCommand(args: string[]): string[] {
  return isCompiled ? [process.execPath, ...args] : [process.execPath, mainScript(), ...args];
}

/** The URL of a Worker's entry point, given from the source root: `cofhe/prover-worker.ts`. */
export function workerUrl(path: string): string {
  return isCompiled ? new URL(`./${path}`, `file://${Bun.main}`).href : new URL(`../${path}`, import.meta.url).href;
}

function mainScript(): string {
  return new URL("../main.ts", import.meta.url).pathname;
}

/** What a child may see of our environment: where to put files and how to print, never a secret or a `BUN_*` switch. */
const passedOn = ["HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "LANG", "LC_ALL", "TZ", "NO_COLOR", "TERM"];

/** The environment of a child of this same program, plus `extra`. */
export function childEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of passedOn) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return {
    ...environment,
    BUN_FEATURE_FLAG_NO_ORPHANS: "1",
    BUN_ENABLE_CRASH_REPORTING: "0",
    GGML_NO_BACKTRACE: "1",
    ...extra,
  };
}
