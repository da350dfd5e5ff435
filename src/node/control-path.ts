import { join } from "node:path";

/** Where a running daemon writes down how it can be asked to drain. */
export function controlPath(dir: string): string {
  return join(dir, "control.json");
}
