import { CommanderError } from "commander";
import { BlfError, errorCode, exitCodes } from "../lib/errors.ts";
import { fileError } from "../lib/files.ts";
import { onStrayError } from "../lib/stray-errors.ts";
import { commands } from "./commands.ts";
import { createProgram, listCommands, registerCommand } from "./tree.ts";
import { reportError } from "./ui/report-error.ts";

/** Runs one command line and gives the exit code. Never throws. */
export async function runCli(argv: string[]): Promise<number> {
  const name = argv.find((argument) => !argument.startsWith("-"));
  const isJson = argv.includes("--json");
  onStrayError((error) => process.exit(reportError(error, isJson)));
  if (name !== undefined && Object.hasOwn(commands, name) && !commands[name]?.light) watchStreams();
  try {
    const program = createProgram();
    if (name !== undefined) await registerCommand(program, name);
    else listCommands(program);
    await program.parseAsync(argv.length > 0 ? argv : ["--help"], { from: "user" });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
    return reportError(error instanceof CommanderError ? usageError(error, name) : error, isJson);
  }
}

/**
 * A result that cannot be written is a failure. A log that cannot is none: a full disk must not stop a node. This is for commands that
 * write to the runtime's streams; ui/streams.ts sees to itself.
 */
function watchStreams(): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error) => {
    if (errorCode(error) === "EPIPE") process.exit(exitCodes.ok);
    process.exit(reportError(fileError("write to", "standard output", error), false));
  });
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
