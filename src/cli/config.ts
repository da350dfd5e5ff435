import { existsSync } from "node:fs";
import type { Command } from "commander";
import * as z from "zod/mini";
import { findKey, listKeys, setKey, sourceFinder, valueIn, valueText, withoutUrlSecrets } from "../config/keys.ts";
import { configPath, dataDirectory, loadConfig } from "../config/load.ts";
import { secretNames } from "../config/secrets.ts";
import { print, printColumns, printJson } from "./ui/io.ts";
import { writeError } from "./ui/streams.ts";

type Options = { json?: boolean };

const source = z.enum(["default", "file", "environment", "flag"]);

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  "config get": z.strictObject({
    ok: z.literal(true),
    key: z.string(),
    value: z.unknown(),
    source,
    variable: z.string(),
  }),
  "config set": z.strictObject({
    ok: z.literal(true),
    key: z.string(),
    value: z.unknown(),
    path: z.string(),
    /** The variable that overrides the file right now, if there is one. */
    overriddenBy: z.nullable(z.string()),
  }),
  "config list": z.strictObject({
    ok: z.literal(true),
    path: z.string(),
    exists: z.boolean(),
    values: z.array(z.strictObject({ key: z.string(), value: z.unknown(), source, variable: z.string() })),
    /** Whether each secret is set; never what it is. */
    secrets: z.array(z.strictObject({ variable: z.string(), set: z.boolean() })),
  }),
  "config path": z.strictObject({ ok: z.literal(true), path: z.string(), directory: z.string(), exists: z.boolean() }),
};

export function register(program: Command): void {
  const config = program.command("config").description("Read and change the configuration.");
  const getCommand = config
    .command("get <key>")
    .description("Print the value that counts, after defaults, config.json and environment.")
    .option("--json", "print one JSON document")
    .action(get);
  const setCommand = config
    .command("set <key> <value>")
    .description("Write one key to config.json: lists separated by commas, `models` as JSON, true or false.")
    .option("--json", "print one JSON document")
    .action(set);
  config
    .command("list")
    .description("Print every key with its value and where that comes from. Secrets are never shown.")
    .option("--json", "print one JSON document")
    .action(list);
  config
    .command("path")
    .description("Print where config.json is.")
    .option("--json", "print one JSON document")
    .action(path);
  // For completion in a shell; findKey checks what is typed.
  const names = listKeys().map((key) => key.name);
  for (const command of [getCommand, setCommand]) command.registeredArguments[0]!.argChoices = names;
}

function get(name: string, options: Options): void {
  const key = findKey(name);
  const { config } = loadConfig({ env: process.env });
  const value = valueIn(config, key);
  if (!options.json) {
    print(valueText(value));
    return;
  }
  printJson({ ok: true, key: name, value, source: sourceFinder(process.env)(key), variable: key.variable });
}

function set(name: string, text: string, options: Options): void {
  const key = findKey(name);
  const directory = dataDirectory(process.env);
  const value = setKey(directory, key, text);
  const overriddenBy = process.env[key.variable] ? key.variable : null;
  if (options.json) {
    printJson({ ok: true, key: name, value, path: configPath(directory), overriddenBy });
    return;
  }
  print(`${name} is ${valueText(withoutUrlSecrets(value))} in ${configPath(directory)}`);
  if (overriddenBy) writeError(`${overriddenBy} of the environment overrides it\n`);
}

function list(options: Options): void {
  const { config, exists } = loadConfig({ env: process.env });
  const sourceOf = sourceFinder(process.env);
  const values = listKeys().map((key) => ({
    key: key.name,
    value: withoutUrlSecrets(valueIn(config, key)),
    source: sourceOf(key),
    variable: key.variable,
  }));
  const secrets = secretNames.map((variable) => ({ variable, set: Boolean(process.env[variable]) }));
  if (options.json) {
    printJson({ ok: true, path: configPath(config.dir), exists, values, secrets });
    return;
  }
  printColumns(
    ["key", "from", "value"],
    [
      ...values.map((item) => [item.key, item.source, valueText(item.value) || "(none)"]),
      ...secrets.map((item) => [item.variable, item.set ? "environment" : "-", item.set ? "(set)" : "(not set)"]),
    ],
  );
}

function path(options: Options): void {
  const directory = dataDirectory(process.env);
  const file = configPath(directory);
  if (options.json) printJson({ ok: true, path: file, directory, exists: existsSync(file) });
  else print(file);
}
