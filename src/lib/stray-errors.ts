/** Takes an error that nothing waited for. Must not throw. */
export type StrayErrorHandler = (error: unknown) => void;

let handler: StrayErrorHandler | undefined;
let count = 0;

/**
 * Says what becomes of rejections that nothing waits for and of exceptions out of a callback. Left alone, the runtime ends the process
 * with a report that quotes the error's text, which may be a prompt's, and the source around it. The handler given last counts.
 */
export function onStrayError(handle: StrayErrorHandler): void {
  if (!handler)
    for (const event of ["uncaughtException", "unhandledRejection"] as const)
      process.on(event, (error: unknown) => {
        count++;
        handler?.(error);
      });
  handler = handle;
}

/** How many such errors this process has seen. */
export function strayErrorCount(): number {
  return count;
}

/** Positions of so many calls tell one defect from another. */
const keptPositions = 4;

/**
 * Where an error was made: `<line>:<column>` in this program, the innermost call first, or `unknown`. Nothing else of the stack is
 * given, since it repeats the error's text.
 */
export function errorPositions(error: unknown): string {
  if (!(error instanceof Error) || typeof error.stack !== "string") return "unknown";
  const textAt = error.stack.indexOf(error.message);
  // Made before the text was changed: what of it is text cannot be told.
  if (textAt < 0) return "unknown";
  const calls = error.stack.slice(textAt + error.message.length);
  const positions = [...calls.matchAll(/^\s*at .{0,200}?:(\d{1,9}:\d{1,9})\)?$/gm)].map((match) => match[1]);
  return positions.slice(0, keptPositions).join(" < ") || "unknown";
}
