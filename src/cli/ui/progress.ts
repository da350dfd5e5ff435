import { hasColor } from "./style.ts";

export type ProgressOptions = {
  /** Named before the bar. */
  label: string;
  stream?: { isTTY?: boolean; columns?: number; write(text: string): unknown };
  /** Milliseconds, of any beginning. */
  now?: () => number;
  env?: Record<string, string | undefined>;
};

export type Progress = {
  /** Bytes so far, and in all if that is known. */
  update(received: number, total: number | undefined): void;
  /** Leaves the line to what comes next. */
  done(): void;
};

const redrawMs = 100;
const plainMs = 10_000;

/** The progress of a download: one line that is drawn again on a terminal, a plain line at every tenth otherwise and with NO_COLOR. */
export function createProgress(options: ProgressOptions): Progress {
  const { label, stream = process.stderr, now = () => performance.now(), env = process.env } = options;
  const isLive = hasColor(stream, env);
  const speed = createSpeed(now);
  let drawnAt = Number.NEGATIVE_INFINITY;
  let tenth = -1;
  let isDrawn = false;

  const isDue = (received: number, total: number | undefined): boolean => {
    const elapsed = now() - drawnAt;
    if (isLive) return elapsed >= redrawMs || received === total;
    const reached = total ? Math.floor((received / total) * 10) : -1;
    if (reached <= tenth && elapsed < plainMs) return false;
    tenth = Math.max(tenth, reached);
    return true;
  };

  return {
    update: (received, total) => {
      speed.add(received);
      if (!isDue(received, total)) return;
      drawnAt = now();
      isDrawn = true;
      const line = progressLine({
        label,
        received,
        total,
        bytesPerSecond: speed.value(),
        width: isLive ? (stream.columns ?? 80) - 1 : undefined,
      });
      stream.write(isLive ? `\r\u001b[2K${line}` : `${line}\n`);
    },
    done: () => {
      if (isLive && isDrawn) stream.write("\n");
      isDrawn = false;
    },
  };
}

export type LineOptions = {
  label: string;
  received: number;
  total: number | undefined;
  bytesPerSecond: number;
  /** Columns; without them there is no bar. */
  width: number | undefined;
};

/** `model  [######----]  62 %  1.24 of 2.00 GB  48.1 MB/s  16 s left`, the bar and the label giving way in a narrow terminal. */
export function progressLine({ label, received, total, bytesPerSecond, width }: LineOptions): string {
  const share = total ? Math.min(1, received / total) : undefined;
  const parts = [
    ...(share === undefined ? [] : [`${Math.floor(share * 100)} %`.padStart(5)]),
    total ? `${amount(received, total)} of ${amount(total, total, true)}` : amount(received, received, true),
    `${amount(bytesPerSecond, bytesPerSecond, true)}/s`,
    ...(total && bytesPerSecond > 0 ? [`${duration((total - received) / bytesPerSecond)} left`] : []),
  ];
  const facts = parts.join("  ");
  if (width === undefined) return `${label}  ${facts.trimStart()}`;
  const room = width - Bun.stringWidth(facts) - 2;
  const name = label.length > Math.max(0, room - 16) ? label.slice(0, Math.max(0, room - 16)) : label;
  const bar = Math.min(40, room - Bun.stringWidth(name) - 4);
  const filled = Math.round((share ?? 0) * bar);
  const drawn = share !== undefined && bar >= 4 ? `[${"#".repeat(filled)}${"-".repeat(bar - filled)}]  ` : "";
  return `${name}  ${drawn}${facts}`.slice(0, width);
}

/** Speed over the last seconds, so that a line that was cut shows. */
function createSpeed(now: () => number) {
  const windowMs = 5000;
  let points: { at: number; bytes: number }[] = [];
  return {
    add: (bytes: number) => {
      const at = now();
      const last = points.at(-1);
      if (last && at - last.at < 50) last.bytes = bytes;
      else points.push({ at, bytes });
      points = points.filter((point) => at - point.at <= windowMs);
    },
    value: () => {
      const [first, last] = [points[0], points.at(-1)];
      if (!first || !last || last.at <= first.at) return 0;
      return Math.max(0, ((last.bytes - first.bytes) * 1000) / (last.at - first.at));
    },
  };
}

const units: [string, number][] = [
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
  ["B", 1],
];

/** Bytes with three digits, in the unit that suits `like`. */
function amount(bytes: number, like: number, withUnit = false): string {
  const [unit, size] = units.find(([, size]) => like >= size) ?? ["B", 1];
  const value = bytes / size;
  const text = unit === "B" ? String(Math.round(value)) : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
  return withUnit ? `${text} ${unit}` : text;
}

/** `1.24 GB` */
export function formatBytes(bytes: number): string {
  return amount(bytes, bytes, true);
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
