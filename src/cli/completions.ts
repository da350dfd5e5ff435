import type { Command } from "commander";
import * as z from "zod/mini";
import { bashCompletion } from "./completions/bash.ts";
import { fishCompletion } from "./completions/fish.ts";
import { completionPlaces, type Place } from "./completions/places.ts";
import { zshCompletion } from "./completions/zsh.ts";
import { loadWholeProgram } from "./tree.ts";
import { print, printJson } from "./ui/io.ts";

type Options = { json?: boolean };

const document = z.strictObject({ ok: z.literal(true), shell: z.enum(["bash", "zsh", "fish"]), script: z.string() });

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  "completions bash": document,
  "completions zsh": document,
  "completions fish": document,
};

const shells: Record<string, { file: string; write: (places: Place[]) => string }> = {
  bash: { file: "~/.local/share/bash-completion/completions/blindference", write: bashCompletion },
  zsh: { file: '"$' + '{fpath[1]}/_blindference"', write: zshCompletion },
  fish: { file: "~/.config/fish/completions/blindference.fish", write: fishCompletion },
};

export function register(program: Command): void {
  const completions = program.command("completions").description("Print a script that completes commands in a shell.");
  for (const [shell, { file, write }] of Object.entries(shells))
    completions
      .command(shell)
      .description(`Print it for ${shell}: blindference completions ${shell} > ${file}`)
      .option("--json", "print one JSON document")
      .action(async (options: Options) => {
        const script = write(completionPlaces(await loadWholeProgram()));
        if (options.json) printJson({ ok: true, shell, script });
        else print(script.trimEnd());
      });
}
