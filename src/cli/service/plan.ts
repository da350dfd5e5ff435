import { isAbsolute, join } from "node:path";
import { BlfError, exitCodes } from "../../lib/errors.ts";

export type Manager = "systemd" | "launchd";

/** Everything that a service file says, decided. All paths are absolute. */
export type ServicePlan = {
  manager: Manager;
  /** For the whole machine instead of one user. */
  system: boolean;
  /** Where the service file goes. */
  path: string;
  /** Command line that starts the node. */
  command: string[];
  /** Data directory of the node. */
  directory: string;
  /** File whose first line is the password. */
  passwordFile: string;
  /** Account that a service of the whole machine runs as; a name or a number. */
  user: string;
  /** Most memory, in systemd's words: `12G`, `85%`, `infinity`. */
  memoryMax: string;
};

export const label = "xyz.blindference.node";
const unitName = "blindference.service";

/** Stands in the first lines of every file that this program writes, so that it replaces and removes only its own. */
export const marker = "Written by `blindference service install`";

/**
 * Variables with which the runtime inside the executable would let itself be changed before the program starts: none of
 * them may come from a service manager's environment.
 */
export const runtimeVariables = [
  "BUN_OPTIONS",
  "BUN_BE_BUN",
  "BUN_INSPECT",
  "BUN_INSPECT_CONNECT_TO",
  "BUN_INSPECT_PRELOAD",
  "BUN_CONFIG_PRELOAD",
  "NODE_OPTIONS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
];

/** A claim lasts 300 s: a node that is stopped finishes its jobs, and gets ten more seconds to close. */
export const stopSeconds = 310;

/** Where the service file belongs, and where its password is by default. */
export function servicePaths(where: {
  manager: Manager;
  system: boolean;
  home: string;
  configHome?: string;
  directory: string;
}) {
  const { manager, system, home, configHome, directory } = where;
  const path =
    manager === "launchd"
      ? join(system ? "/Library/LaunchDaemons" : join(home, "Library", "LaunchAgents"), `${label}.plist`)
      : system
        ? join("/etc/systemd/system", unitName)
        : join(configHome || join(home, ".config"), "systemd", "user", unitName);
  // systemd hands a password to the service that the service's own account need not be able to read.
  const passwordFile = system && manager === "systemd" ? "/etc/blindference/password" : join(directory, "password");
  return { path, passwordFile };
}

/** @throws BlfError `SERVICE_UNSUPPORTED_PATH`, `USAGE_INVALID_OPTION` */
export function checkPlan(plan: ServicePlan): ServicePlan {
  for (const path of [...plan.command, plan.directory, plan.passwordFile])
    if (/[\u0000-\u001f\u007f]/.test(path))
      throw new BlfError({
        code: "SERVICE_UNSUPPORTED_PATH",
        message: "A path for the service holds a control character",
        hint: "Move the executable or the data directory to a plain path.",
      });
  if (plan.manager === "systemd" && /["'\\]/.test(plan.command[0] ?? ""))
    throw new BlfError({
      code: "SERVICE_UNSUPPORTED_PATH",
      message: "systemd starts no executable whose path holds a quotation mark or a backslash",
      hint: "Move the executable to a plain path, such as /usr/local/bin.",
    });
  if (!isAbsolute(plan.passwordFile)) throw invalid("--password-file must be an absolute path");
  if (!/^(\d+[KMGT]?|\d{1,2}%|100%|infinity)$/.test(plan.memoryMax))
    throw invalid("--memory-max must be a size such as 12G, a share such as 85%, or infinity");
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(plan.user)) throw invalid("--user must be the name of an account");
  return plan;
}

function invalid(message: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message,
    hint: "Run `blindference service install --help`.",
    exitCode: exitCodes.usage,
  });
}
