import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BunPlugin } from "bun";
import { encodeLicences, type Licences } from "../../src/licences/licences.ts";

/** Replaces the module that gathers licences by one that has them in the executable. `directory` is the build's own. */
export function embedLicences(licences: Licences, directory: string): BunPlugin {
  return {
    name: "embed-licences",
    setup: (build) => {
      const path = join(directory, "licences.json.zst");
      writeFileSync(path, encodeLicences(licences));
      build.onResolve({ filter: /^licences\.json\.zst$/ }, () => ({ path }));
      build.onLoad({ filter: /[\\/]licences[\\/]embedded\.ts$/ }, () => ({
        loader: "js",
        contents: `
          import path from "licences.json.zst" with { type: "file" };
          export const embeddedLicences = () => Bun.file(path).bytes();
        `,
      }));
    },
  };
}
