import type * as z from "zod/mini";
import { errorAnswer, unexpectedAnswer } from "./errors.ts";
import type { Service } from "./service.ts";

/**
 * What a service answered, as its schema says.
 * @throws BlfError `<prefix>_ERROR_ANSWER`, `<prefix>_UNEXPECTED_ANSWER`, which names the field
 */
export function parseAnswer<T extends z.ZodMiniType>(service: Service, schema: T, value: unknown): z.output<T> {
  const answer = value as { error?: unknown; object?: unknown } | null;
  if (typeof answer === "object" && answer !== null && (answer.error || answer.object === "error"))
    throw errorAnswer(service);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // Only names and numbers of the path: a name that is not the schema's own cannot be in it.
  const path = result.error.issues[0]?.path.map(String).join(".");
  throw unexpectedAnswer(service, path ? `${path} is missing or of another type` : "it is no object");
}
