import type { Command } from "commander";
import * as z from "zod/mini";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { closest } from "../lib/suggest.ts";
import { embeddedLicences } from "../licences/embedded.ts";
import { decodeLicences, type LicencePart, type Licences, textOf } from "../licences/licences.ts";
import { print, printColumns, printJson } from "./ui/io.ts";

type Options = { full?: boolean; json?: boolean };

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  licenses: z.strictObject({
    ok: z.literal(true),
    parts: z.array(
      z.strictObject({
        name: z.string(),
        version: z.string(),
        of: z.nullable(z.string()),
        licence: z.string(),
        text: z.string(),
      }),
    ),
  }),
};

export function register(program: Command): void {
  program
    .command("licenses")
    .argument("[name]", "print the texts of this part only")
    .description("List the licences of all that is in this file.")
    .option("--full", "print the texts too")
    .option("--json", "print one JSON document, with the texts")
    .action(run);
}

async function run(name: string | undefined, options: Options): Promise<void> {
  const licences = decodeLicences(await embeddedLicences());
  const parts = name === undefined ? licences.parts : findParts(licences, name);
  if (options.json)
    return printJson({
      ok: true,
      parts: parts.map((part) => ({
        name: part.name,
        version: part.version,
        of: part.of ?? null,
        licence: part.licence,
        text: textOf(part, licences),
      })),
    });
  if (options.full || name !== undefined) return printTexts(parts, licences);
  printColumns(["PART", "VERSION", "LICENCE"], parts.map(row));
  print("\nThe texts: blindference licenses --full, or of one part: blindference licenses <name>");
}

function row({ name, version, of, licence }: LicencePart): string[] {
  return [name, of ? `in ${of} ${version}` : version, licence];
}

function printTexts(parts: LicencePart[], licences: Licences): void {
  for (const part of parts)
    print(`${"=".repeat(80)}\n${row(part).join("   ")}\n${"=".repeat(80)}\n\n${textOf(part, licences).trimEnd()}\n`);
}

/** @throws BlfError `LICENCE_UNKNOWN` */
function findParts({ parts }: Licences, name: string): LicencePart[] {
  const found = parts.filter((part) => part.name.toLowerCase() === name.toLowerCase());
  if (found.length > 0) return found;
  const suggestion = closest(
    name,
    parts.map((part) => part.name),
  );
  throw new BlfError({
    code: "LICENCE_UNKNOWN",
    message: "Nothing in this file has that name",
    hint: suggestion ? `Did you mean ${suggestion}?` : "`blindference licenses` lists all parts.",
    exitCode: exitCodes.usage,
  });
}
