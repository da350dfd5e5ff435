/** Watches a text that grows for one of the texts that end it. */
export type StopWatch = {
  /** Takes the next piece and gives back what may be shown of it by now: what could be the beginning of an end is held back. */
  push(piece: string): string;
  /** All that comes before the end, once it was seen. */
  stopped(): string | undefined;
};

/** `stops` that are empty texts are not allowed: every text ends with them. */
export function createStopWatch(stops: readonly string[]): StopWatch {
  let text = "";
  let shown = 0;
  let end: number | undefined;
  const longest = Math.max(0, ...stops.map((stop) => stop.length));
  const show = (until: number) => {
    const piece = text.slice(shown, until);
    shown = Math.max(shown, until);
    return piece;
  };
  return {
    push: (piece) => {
      if (end !== undefined) return "";
      const searchFrom = Math.max(0, text.length - longest + 1);
      text += piece;
      end = firstStop(text, stops, searchFrom);
      return show(end ?? text.length - heldBack(text, stops));
    },
    stopped: () => (end === undefined ? undefined : text.slice(0, end)),
  };
}

/** Where the first of the stops begins, from `from` on. */
export function firstStop(text: string, stops: readonly string[], from = 0): number | undefined {
  const found = stops.map((stop) => text.indexOf(stop, from)).filter((index) => index !== -1);
  return found.length > 0 ? Math.min(...found) : undefined;
}

/** How many characters at the end are the beginning of a stop. */
function heldBack(text: string, stops: readonly string[]): number {
  let most = 0;
  for (const stop of stops)
    for (let length = Math.min(stop.length - 1, text.length); length > most; length--)
      if (text.endsWith(stop.slice(0, length))) most = length;
  return most;
}
