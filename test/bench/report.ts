export type Unit = "ms" | "MB" | "×";

/** One line of the table. */
export type Row = {
  name: string;
  unit: Unit;
  min: number;
  median: number;
  max: number;
  /** Null for a row that only informs. */
  limit: number | null;
  /** Which of the three figures the limit is for. */
  judged: "median" | "max";
  status: "ok" | "OVER" | "info" | "skipped" | "failed";
  /** One line: how it was measured, or why not. */
  note: string;
};

export type Measurement = {
  name: string;
  unit: Unit;
  values: number[];
  limit?: number;
  judged?: Row["judged"];
  note?: string;
};

/** A row of measured values. @throws RangeError without any value, since that would be a row of nothing. */
export function measured({ name, unit, values, limit, judged = "median", note = "" }: Measurement): Row {
  if (values.length === 0) throw new RangeError(`no values of ${name}`);
  const figures = { min: Math.min(...values), median: median(values), max: Math.max(...values) };
  const status = limit === undefined ? "info" : figures[judged] <= limit ? "ok" : "OVER";
  return { name, unit, ...figures, limit: limit ?? null, judged, status, note };
}

/** A row that has no values: the material is not there, or the measurement itself failed. */
export function unmeasured(name: string, status: "skipped" | "failed", note: string): Row {
  return { name, unit: "ms", min: 0, median: 0, max: 0, limit: null, judged: "median", status, note };
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The table as text, with the columns aligned. */
export function formatTable(rows: Row[]): string {
  const header = ["", "min", "median", "max", "limit", "", ""];
  const cells = rows.map((row) => {
    const { unit, limit, judged } = row;
    const isMeasured = row.status !== "skipped" && row.status !== "failed";
    const figures = [row.min, row.median, row.max].map((value) => (isMeasured ? digits(value) : "-"));
    const bound = limit === null ? "" : `${judged === "max" ? "max" : ""} ≤ ${limit}`.trim();
    return [`${row.name} (${unit})`, ...figures, bound, row.status, row.note];
  });
  const lines = [header, ...cells];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const align = (text: string, column: number) =>
    column >= 1 && column <= 4 ? text.padStart(widths[column]!) : text.padEnd(widths[column]!);
  return lines.map((line) => line.map(align).join("  ").trimEnd()).join("\n");
}

function digits(value: number): string {
  return value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0);
}
