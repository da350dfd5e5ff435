import { Command } from "commander";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { closest } from "../lib/suggest.ts";
import { version } from "../lib/version.ts";
import { commands } from "./commands.ts";
import { exitCodeMeanings } from "./ui/exit-codes.ts";
import { writeOut } from "./ui/streams.ts";

/** The program without any command. */
export function createProgram(): Command {
  const codes = exitCodeMeanings.map(({ code, short }) => `${code} ${short}`).join(", ");
  return new Command("blindference")
    .description("A node of the Blindference network: answers encrypted prompts, and earns for it.")
    .version(`blindference ${version}`)
    .exitOverride()
    .configureOutput({ writeOut, writeErr: () => {}, outputError: () => {} })
    .showSuggestionAfterError(true)
    .addHelpText("after", `\nExit codes: ${codes}.`);
}

/** Adds one command with all that it can do. @throws BlfError `USAGE_UNKNOWN_COMMAND` */
export async function registerCommand(program: Command, name: string): Promise<void> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!entry) throw unknownCommand(name, name, Object.keys(commands));
  (await entry.load()).register(program);
}

/** Adds every command by name and summary only, for the list of the help. */
export function listCommands(program: Command): void {
  for (const [name, { summary }] of Object.entries(commands)) program.command(name).description(summary);
}

/** The program with everything that it can do: takes a second, since all of its code is loaded. */
export async function loadWholeProgram(): Promise<Command> {
  const program = createProgram();
  for (const name of Object.keys(commands)) await registerCommand(program, name);
  return program;
}

/** `name` is the whole of what was typed, `word` the part of it that is not known. */
export function unknownCommand(name: string, word: string, known: string[]): BlfError {
  const suggestion = closest(word, known);
  const parents = name.slice(0, name.length - word.length);
  return new BlfError({
    code: "USAGE_UNKNOWN_COMMAND",
    message: `There is no command "${name}"`,
    hint: suggestion
      ? `Did you mean \`blindference ${parents}${suggestion}\`?`
      : "Run `blindference --help` to see the commands.",
    exitCode: exitCodes.usage,
  });
}
