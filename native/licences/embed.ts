import { createHash } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BunPlugin } from "bun";
import { encodeLicences, type Licences } from "../../src/licences/licences.ts";

/**
 * Replaces the module that gathers licences by one that has them in the executable.
 * @param directory where they are put for the bundler; its path below the root is part of the bytes that are built
 */
export function embedLicences(licences: Licences, directory: string): BunPlugin {
  return {
    name: "embed-licences",
    setup: (build) => {
      const content = encodeLicences(licences);
      const hash = createHash("sha256").update(content).digest("hex").slice(0, 24);
      const path = join(directory, `licences-${hash}.json.zst`);
      mkdirSync(directory, { recursive: true });
      writeFileSync(`${path}.${process.pid}`, content);
      renameSync(`${path}.${process.pid}`, path);
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
