import { sdkDeclarations } from "../../inference/custom/sdk.ts";
import { version } from "../../lib/version.ts";
import { printJson } from "../ui/io.ts";
import { writeOut } from "../ui/streams.ts";

/** `models sdk`: the types that a custom backend is written against. */
export async function runSdk(options: { json?: boolean }): Promise<void> {
  const declarations = await sdkDeclarations(version);
  if (options.json) return printJson({ ok: true, version, declarations });
  writeOut(declarations);
}
