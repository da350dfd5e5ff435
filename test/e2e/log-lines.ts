import * as z from "zod";
import type { TestNode } from "./network.ts";

const lineSchema = z.looseObject({
  time: z.iso.datetime(),
  level: z.string(),
  message: z.string(),
  jobId: z.optional(z.string()),
  role: z.optional(z.string()),
  state: z.optional(z.string()),
  code: z.optional(z.string()),
  reason: z.optional(z.string()),
  ms: z.optional(z.number()),
});

export type LogLine = z.output<typeof lineSchema>;

/** What a node logged with this message, oldest first. */
export function logOf(node: TestNode, message: string): LogLine[] {
  const lines = node
    .output()
    .split("\n")
    .filter((line) => line.startsWith('{"time"'));
  const complete = node.output().endsWith("\n") ? lines : lines.slice(0, -1);
  return complete.map((line) => lineSchema.parse(JSON.parse(line))).filter((line) => line.message === message);
}
