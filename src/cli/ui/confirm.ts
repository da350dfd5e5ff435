import { cancelled } from "./password.ts";

/** Asks on a terminal before something that is hard to undo. With `--yes`, `--json` or no terminal nothing is asked. @throws BlfError `CANCELLED` */
export async function confirm(message: string, options: { yes?: boolean; json?: boolean }): Promise<void> {
  if (options.yes || options.json || !process.stdin.isTTY || !process.stderr.isTTY) return;
  const clack = await import("@clack/prompts");
  if ((await clack.confirm({ message, output: process.stderr })) !== true) throw cancelled();
}
