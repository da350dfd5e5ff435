import { existsSync, readFileSync, statSync } from "node:fs";
import { homedir, platform, userInfo } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import * as z from "zod/mini";
import { expandPath, requireConfig } from "../config/load.ts";
import { secretNames } from "../config/secrets.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { selfCommand } from "../lib/self.ts";
import { readOurs, removeServiceFile, writeServiceFile } from "./service/file.ts";
import { launchdPlist } from "./service/launchd.ts";
import { nextCommands, stopCommands } from "./service/next.ts";
import { checkPlan, type Manager, type ServicePlan, servicePaths } from "./service/plan.ts";
import { systemdUnit } from "./service/systemd.ts";
import { print, printJson } from "./ui/io.ts";

type Options = {
  system?: boolean;
  user?: string;
  memoryMax: string;
  passwordFile?: string;
  for?: string;
  json?: boolean;
};

const manager = z.enum(["systemd", "launchd"]);

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  "service print": z.strictObject({ ok: z.literal(true), manager, path: z.string(), content: z.string() }),
  "service install": z.strictObject({
    ok: z.literal(true),
    manager,
    path: z.string(),
    /** False when the same file was there already. */
    written: z.boolean(),
    passwordFile: z.string(),
    warnings: z.array(z.string()),
    next: z.array(z.string()),
  }),
  "service uninstall": z.strictObject({
    ok: z.literal(true),
    manager,
    path: z.string(),
    removed: z.boolean(),
    next: z.array(z.string()),
  }),
};

export function register(program: Command): void {
  const service = program
    .command("service")
    .description("Run the node as a service of systemd (Linux) or launchd (macOS).");
  withOptions(service.command("install"))
    .description("Write the service file and say what to run next. Starts nothing.")
    .action(install);
  service
    .command("uninstall")
    .description("Remove the service file that `service install` wrote.")
    .option("--system", "the service of the whole machine")
    .option("--json", "print one JSON document")
    .action(uninstall);
  withOptions(service.command("print"))
    .description("Print the service file without writing it.")
    .option("--for <manager>", "systemd or launchd, whatever this machine has")
    .action(printFile);
}

function withOptions(command: Command): Command {
  return command
    .option("--system", "a service of the whole machine instead of this user's")
    .option("--user <name>", "account of a --system service; by default the owner of the data directory")
    .option("--memory-max <size>", "most memory, as systemd writes it: 12G, 85%, infinity", "85%")
    .option("--password-file <path>", "file whose first line is the keystore's password")
    .option("--json", "print one JSON document");
}

function printFile(options: Options): void {
  const plan = planOf(options, chosenManager(options.for));
  const content = contentOf(plan);
  if (options.json) printJson({ ok: true, manager: plan.manager, path: plan.path, content });
  else print(content.trimEnd());
}

function install(options: Options): void {
  const plan = planOf(options, hostManager());
  const content = contentOf(plan);
  const old = readOurs(plan.path);
  const written = old !== content;
  if (written) writeServiceFile(plan.path, content);
  const next = nextCommands(plan);
  const warnings = warningsFor(plan);
  if (options.json) {
    printJson({
      ok: true,
      manager: plan.manager,
      path: plan.path,
      written,
      passwordFile: plan.passwordFile,
      warnings,
      next,
    });
    return;
  }
  print(`${written ? "Wrote" : "Already there:"} ${plan.path}\n\nNext:`);
  for (const command of next) print(`  ${command}`);
  for (const warning of warnings) print(`\nMind: ${warning}`);
}

function uninstall(options: { system?: boolean; json?: boolean }): void {
  const manager = hostManager();
  const { path } = pathsOf({ manager, system: options.system ?? false, directory: "/" });
  const removed = readOurs(path) !== undefined;
  if (removed) removeServiceFile(path);
  const next = removed ? stopCommands(manager, options.system ?? false, path) : [];
  if (options.json) {
    printJson({ ok: true, manager, path, removed, next });
    return;
  }
  print(removed ? `Removed ${path}\n\nNext, if the node still runs:` : `There is no service file ${path}`);
  for (const command of next) print(`  ${command}`);
}

function planOf(options: Options, manager: Manager): ServicePlan {
  const { config } = requireConfig({ env: process.env });
  const system = options.system ?? false;
  const { path, passwordFile } = pathsOf({ manager, system, directory: config.dir });
  return checkPlan({
    manager,
    system,
    path,
    command: selfCommand(["run"]),
    directory: config.dir,
    passwordFile: options.passwordFile === undefined ? passwordFile : expandPath(options.passwordFile),
    user: options.user ?? ownerOf(config.dir),
    memoryMax: options.memoryMax,
  });
}

function pathsOf(where: { manager: Manager; system: boolean; directory: string }) {
  const configHome = process.env["XDG_CONFIG_HOME"];
  return servicePaths({ ...where, home: homedir(), ...(configHome ? { configHome } : {}) });
}

function contentOf(plan: ServicePlan): string {
  return plan.manager === "systemd" ? systemdUnit(plan) : launchdPlist(plan);
}

/** @throws BlfError `SERVICE_UNSUPPORTED` */
function hostManager(): Manager {
  if (platform() === "linux") return "systemd";
  if (platform() === "darwin") return "launchd";
  throw new BlfError({
    code: "SERVICE_UNSUPPORTED",
    message: `There is no service file for ${platform()}`,
    hint: "Run `blindference run` under the service manager of this system.",
  });
}

function chosenManager(name: string | undefined): Manager {
  if (name === undefined) return hostManager();
  if (name === "systemd" || name === "launchd") return name;
  throw new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--for must be systemd or launchd",
    hint: "Run `blindference service print --help`.",
    exitCode: exitCodes.usage,
  });
}

/** The account that owns a directory, by name where the system knows one. */
function ownerOf(directory: string): string {
  const { uid } = statSync(directory);
  if (uid === userInfo().uid) return userInfo().username;
  const line = existsSync("/etc/passwd")
    ? readFileSync("/etc/passwd", "utf8")
        .split("\n")
        .find((entry) => entry.split(":")[2] === String(uid))
    : undefined;
  return line?.split(":")[0] ?? String(uid);
}

/** What the operator should know before the service is started. */
function warningsFor(plan: ServicePlan): string[] {
  const warnings: string[] = [];
  const names = Object.keys(process.env).sort();
  const ofService = ["BLF_CONFIG_DIR", "BLF_KEY_PASSWORD", "BLF_KEY_PASSWORD_FILE"];
  const settings = names.filter((name) => name.startsWith("BLF_") && !ofService.includes(name) && !isSecret(name));
  const secrets = names.filter((name) => isSecret(name) && !ofService.includes(name));
  if (settings.length > 0)
    warnings.push(`the service does not see ${settings.join(", ")} of this shell: use \`blindference config set\`.`);
  if (secrets.length > 0 && plan.manager === "systemd")
    warnings.push(
      `the service does not see ${secrets.join(", ")}: put them into ${join(plan.directory, "environment")}.`,
    );
  if (secrets.length > 0 && plan.manager === "launchd")
    warnings.push(`the service does not see ${secrets.join(", ")} of this shell.`);
  if (plan.system && /^(root|0)$/.test(plan.user))
    warnings.push("the node would run as root: give the data directory to an account of its own, or pass --user.");
  return warnings;
}

function isSecret(name: string): boolean {
  return secretNames.includes(name);
}
