import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..", "..");

/** The product as it is shipped; `make test` builds it before it runs the tests. */
export const executable = join(root, "dist", "blindference");

/** The same with the switches that make a node misbehave. */
export const faultyExecutable = join(root, "dist", "blindference-test");

export const isBuilt = existsSync(executable) && existsSync(faultyExecutable);

if (!isBuilt)
  console.warn("dist/ is empty: the end-to-end tests are skipped. `make test` builds the executables first.");
