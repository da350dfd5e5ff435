import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BunPlugin } from "bun";
import { platforms } from "../../native/platforms.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";

export type CompileOptions = { root: string; directory: string; name: string; source: string; plugins?: BunPlugin[] };

/** Compiles one source for this platform with the same Bun and settings as the product. Gives the executable's path. */
export async function compile(options: CompileOptions): Promise<string> {
  const { runtimePackage, bunTarget } = platforms[hostTarget()];
  const outfile = join(options.directory, options.name);
  mkdirSync(options.directory, { recursive: true });
  const result = await Bun.build({
    entrypoints: [options.source],
    plugins: options.plugins ?? [],
    minify: true,
    splitting: true,
    format: "esm",
    target: "bun",
    compile: {
      target: bunTarget,
      executablePath: join(options.root, "node_modules", runtimePackage, "bin", "bun"),
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: true,
    },
  });
  if (!result.success) throw new AggregateError(result.logs, `${options.name} does not compile`);
  return outfile;
}
