import { join } from "node:path";
import { type Config, loadConfig, requireConfig } from "../config/load.ts";
import type { ConfigFile } from "../config/schema.ts";
import { type Secrets, secretNames, takeSecrets } from "../config/secrets.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { eraseEnvironment } from "../lib/protect-memory.ts";
import { stderrLogger } from "./ui/io.ts";

/** What most commands begin with. Nothing heavy is imported here: commands that only read files must start at once. */
export type Session = { config: Config; secrets: Secrets; log: Logger };

export type SessionOptions = {
  flags?: ConfigFile;
  /** Whether the command needs a node that was initialised; true by default. */
  initialised?: boolean;
};

/** Loads the configuration and takes the secrets out of the environment. @throws BlfError `CONFIG_*`, `NOT_INITIALISED` */
export function openSession(options: SessionOptions = {}): Session {
  const given = secretNames.filter((name) => process.env[name]);
  const secrets = takeSecrets(process.env);
  eraseEnvironment(given);
  const load = options.initialised === false ? loadConfig : requireConfig;
  const { config } = load({ env: process.env, ...(options.flags ? { flags: options.flags } : {}) });
  return { config, secrets, log: stderrLogger(config.log_level, config.log_format) };
}

export function journalPath(config: Config): string {
  return join(config.dir, "journal.db");
}

/** @throws BlfError `CONTRACT_NOT_CONFIGURED` */
export function requireAddress(config: Config, key: Extract<keyof Config, `${string}_address`>): `0x${string}` {
  const address = config[key];
  if (address !== "") return address;
  throw new BlfError({
    code: "CONTRACT_NOT_CONFIGURED",
    message: `The address ${key} is not configured`,
    hint: `Set ${key} in config.json or BLF_${key.toUpperCase()}.`,
  });
}

/** @throws BlfError `NODE_ADDRESS_MISSING` */
export function requireNodeAddress(config: Config): `0x${string}` {
  if (config.node_address !== "") return config.node_address;
  throw new BlfError({
    code: "NODE_ADDRESS_MISSING",
    message: "The configuration has no node_address",
    hint: "Set node_address in config.json, or BLF_NODE_ADDRESS, to the address of the keystore.",
    exitCode: exitCodes.notInitialised,
  });
}
