import { BlfError, exitCodes } from "../../lib/errors.ts";
import { interruptSignal } from "../ui/interrupt.ts";
import { hasColor } from "../ui/style.ts";
import { type Row, tableLines } from "../ui/table.ts";

const redrawMs = 2000;
/** The network's services are asked less often than this machine's daemon: they count requests. */
export const networkEveryMs = 10_000;

const csi = "\u001b[";
const enter = `${csi}?1049h${csi}?25l`;
const leave = `${csi}?25h${csi}?1049l`;

export type Screen = { title: string; rows: Row[] };

/**
 * Redraws what `look` gives every two seconds on a screen of its own, until Ctrl-C or SIGTERM; then the terminal is as it was.
 * @throws BlfError `USAGE_INVALID_OPTION` without a terminal; what `look` throws
 */
export async function watchStatus(look: (signal: AbortSignal) => Promise<Screen>): Promise<void> {
  const { stdout } = process;
  if (!stdout.isTTY) throw needsTerminal();
  const interrupt = interruptSignal();
  const { signal } = interrupt;
  let screen: Screen | undefined;
  const draw = () => {
    if (screen) stdout.write(frame(screen, { width: stdout.columns, height: stdout.rows, color: hasColor(stdout) }));
  };
  stdout.write(enter);
  stdout.on("resize", draw);
  try {
    while (!signal.aborted) {
      screen = await look(signal);
      if (signal.aborted) break;
      draw();
      await sleep(redrawMs, signal);
    }
  } finally {
    stdout.off("resize", draw);
    stdout.write(leave);
    interrupt.clear();
  }
}

/** One picture: each line is cleared to its end, and so is what a longer picture left below. */
export function frame(screen: Screen, size: { width: number; height: number; color: boolean }): string {
  const lines = [screen.title, "", ...tableLines(screen.rows, { width: size.width, color: size.color })];
  const shown = lines.length > size.height ? [...lines.slice(0, size.height - 1), "…"] : lines;
  return `${csi}H${shown.map((line) => `${line}${csi}K`).join("\r\n")}${csi}J`;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}

function needsTerminal(): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--watch draws on a terminal, and standard output is none",
    hint: "Leave --watch out, or use --json.",
    exitCode: exitCodes.usage,
  });
}
