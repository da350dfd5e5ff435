import type { Command } from "commander";
import * as z from "zod/mini";
import { otherDescriptions } from "../config/descriptions.ts";
import { variables } from "../config/environment.ts";
import { listKeys } from "../config/keys.ts";
import { commands } from "./commands.ts";
import { createProgram, listCommands, registerCommand, unknownCommand } from "./tree.ts";
import { exitCodeMeanings } from "./ui/exit-codes.ts";
import { print, printJson, printTable } from "./ui/io.ts";

type Options = { json?: boolean };

const described = z.strictObject({ name: z.string(), description: z.string() });

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  help: z.strictObject({
    ok: z.literal(true),
    command: z.string(),
    description: z.string(),
    usage: z.string(),
    arguments: z.array(z.strictObject({ name: z.string(), required: z.boolean(), variadic: z.boolean() })),
    options: z.array(z.strictObject({ flags: z.string(), description: z.string() })),
    commands: z.array(described),
  }),
  "help env": z.strictObject({
    ok: z.literal(true),
    variables: z.array(z.strictObject({ name: z.string(), key: z.nullable(z.string()), meaning: z.string() })),
  }),
  "help exit-codes": z.strictObject({
    ok: z.literal(true),
    exitCodes: z.array(z.strictObject({ code: z.int(), name: z.string(), meaning: z.string() })),
  }),
};

export function register(program: Command): void {
  const help = program
    .command("help [command...]")
    .description("Show what a command does and which options it has.")
    .option("--json", "print one JSON document")
    .action(showCommand);
  help.registeredArguments[0]!.argChoices = Object.keys(commands);
  help
    .command("env")
    .description("List every environment variable with the key that it sets and its meaning.")
    .option("--json", "print one JSON document")
    .action(showVariables);
  help
    .command("exit-codes")
    .description("List the exit codes.")
    .option("--json", "print one JSON document")
    .action(showExitCodes);
  // Without this the commander adds a `help help`.
  help.helpCommand(false);
}

async function showCommand(path: string[], options: Options): Promise<void> {
  const command = await findCommand(path);
  if (!options.json) return command.outputHelp();
  const helper = command.createHelp();
  printJson({
    ok: true,
    command: ["blindference", ...path].join(" "),
    description: command.description(),
    usage: helper.commandUsage(command),
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      required: argument.required,
      variadic: argument.variadic,
    })),
    options: helper.visibleOptions(command).map(({ flags, description }) => ({ flags, description })),
    commands: helper
      .visibleCommands(command)
      .map((child) => ({ name: child.name(), description: child.description() })),
  });
}

/** @throws BlfError `USAGE_UNKNOWN_COMMAND` */
async function findCommand(path: string[]): Promise<Command> {
  const program = createProgram();
  if (path.length === 0) listCommands(program);
  else await registerCommand(program, path[0]!);
  let command = program;
  path.forEach((word, index) => {
    const child = command.commands.find((candidate) => candidate.name() === word || candidate.aliases().includes(word));
    if (!child) {
      const known = command.commands.map((candidate) => candidate.name());
      throw unknownCommand(path.slice(0, index + 1).join(" "), word, known);
    }
    command = child;
  });
  return command;
}

function showVariables(_options: Options, command: Command): void {
  const keys = listKeys().map(({ name, variable, meaning }) => ({ name: variable, key: name, meaning }));
  const main = new Set(keys.map(({ name }) => name));
  const seconds = Object.entries(variables())
    .filter(([name]) => !main.has(name))
    .map(([name, { path }]) => ({ name, key: path.join("."), meaning: `the original's name of BLF_${name}` }));
  const others = Object.entries(otherDescriptions).map(([name, meaning]) => ({ name, key: null, meaning }));
  const all = [...others, ...keys, ...seconds];
  if (command.optsWithGlobals()["json"]) printJson({ ok: true, variables: all });
  else printTable(all.map(({ name, meaning }) => [name, meaning]));
}

function showExitCodes(_options: Options, command: Command): void {
  const codes = exitCodeMeanings.map(({ code, short, meaning }) => ({ code, name: short, meaning }));
  if (command.optsWithGlobals()["json"]) {
    printJson({ ok: true, exitCodes: codes });
    return;
  }
  for (const { code, name, meaning } of codes) print(`${String(code).padStart(2)}  ${name.padEnd(15)}  ${meaning}`);
}
