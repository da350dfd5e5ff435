import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { fileRole, hostTarget, llamaPackages, type Target } from "./platform.ts";

/** The directory of libraries in an installed llama.cpp package; `root` is where its node_modules is. */
export function librariesOfPackage(root: string, target: Target): string {
  const bins = join(root, "node_modules", llamaPackages[target], "bins");
  try {
    const [name] = readdirSync(bins);
    if (name !== undefined) return join(bins, name);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  throw new BlfError({
    code: "NATIVE_PACKAGE_MISSING",
    message: `The package ${llamaPackages[target]} is not installed`,
    hint: "Run `bun install` in the checkout.",
  });
}

/** In a checkout: a directory of links to the libraries in node_modules, restricted to what llama.cpp may see. */
export function linkCheckoutLibraries(view: { variant: string; gpu: boolean }): string {
  const root = new URL("../../..", import.meta.url).pathname;
  const target = hostTarget();
  const source = librariesOfPackage(root, target);
  const names = readdirSync(source).filter((name) => {
    const role = fileRole(name, target);
    if (!statSync(join(source, name)).isFile()) return false;
    return (
      role.kind === "common" ||
      (role.kind === "cpu" && role.variant === view.variant) ||
      (role.kind === "gpu" && view.gpu)
    );
  });
  const id = createHash("sha256")
    .update([source, ...names].join("\n"))
    .digest("hex")
    .slice(0, 12);
  const directory = join(root, "build", "native", `${view.variant}-${id}`);
  mkdirSync(directory, { recursive: true });
  for (const name of names) link(join(source, name), join(directory, name));
  return directory;
}

function link(target: string, path: string): void {
  if (statSync(path, { throwIfNoEntry: false })) return;
  rmSync(path, { force: true });
  try {
    symlinkSync(target, path);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  }
}
