import { Command, CommanderError } from "commander";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { closest } from "../lib/suggest.ts";
import { version } from "../lib/version.ts";
import { commands } from "./commands.ts";
import { reportError } from "./ui/report-error.ts";

/** Runs one command line and gives the exit code. Never throws. */
export async function runCli(argv: string[]): Promise<number> {
  const words = argv.filter((argument) => !argument.startsWith("-"));
  const name = words[0] === "help" ? words[1] : words[0];
  try {
    const program = createProgram();
    if (name !== undefined) await registerCommand(program, name);
    else for (const [command, { summary }] of Object.entries(commands)) program.command(command).description(summary);
    await program.parseAsync(argv.length > 0 ? argv : ["--help"], { from: "user" });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
    return reportError(error instanceof CommanderError ? usageError(error, name) : error, argv.includes("--json"));
  }
}

function createProgram(): Command {
  return new Command("blindference")
    .description("A node of the Blindference network: answers encrypted prompts, and earns for it.")
    .version(`blindference ${version}`)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .showSuggestionAfterError(true)
    .addHelpText("after", "\nExit codes: 0 ok, 1 failed, 2 usage, 3 not initialised, 4 authentication, 75 try again.");
}

async function registerCommand(program: Command, name: string): Promise<void> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!entry) {
    const suggestion = closest(name, Object.keys(commands));
    throw new BlfError({
      code: "USAGE_UNKNOWN_COMMAND",
      message: `There is no command "${name}"`,
      hint: suggestion
        ? `Did you mean \`blindference ${suggestion}\`?`
        : "Run `blindference --help` to see the commands.",
      exitCode: exitCodes.usage,
    });
  }
  (await entry.load()).register(program);
}

function usageError(error: CommanderError, command: string | undefined): BlfError {
  const isHelpInstead = error.code === "commander.help";
  const text = isHelpInstead ? `\`${command}\` needs a subcommand` : error.message.replace(/^error: /, "");
  const [message, suggestion] = text.split("\n");
  const help = `Run \`blindference ${command ? `${command} ` : ""}--help\`.`;
  return new BlfError({
    code: "USAGE",
    message: `${message!.charAt(0).toUpperCase()}${message!.slice(1)}`,
    hint: suggestion ? `${suggestion.replace(/^\(|\)$/g, "")} ${help}` : help,
    exitCode: exitCodes.usage,
  });
}
