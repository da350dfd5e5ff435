import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The text of a file, or undefined if it is not there. */
export type ReadText = (path: string) => string | undefined;

export function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Directories of the control groups that this process is in, and of all above them: every one of them may set a limit. */
export function* controlGroups(
  readText: ReadText,
  controller: "cpu" | "memory",
): Generator<{ version: 1 | 2; directory: string }> {
  for (const line of (readText("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const isV1 = controllers.split(",").includes(controller);
    if (controllers !== "" && !isV1) continue;
    const roots = isV1 ? [`/sys/fs/cgroup/${controllers}`, `/sys/fs/cgroup/${controller}`] : ["/sys/fs/cgroup"];
    for (const root of new Set(roots))
      for (const group of ancestors(path)) yield { version: isV1 ? 1 : 2, directory: join(root, group) };
  }
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestors(parent)];
}
