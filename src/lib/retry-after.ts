/** The cause of an error by which a service asks to be left alone for a while. */
export class RetryAfter extends Error {
  override readonly name = "RetryAfter";
  constructor(readonly ms: number) {
    super(`not before ${ms} ms`);
  }
}

/** What a service asks for by `Retry-After`, be it seconds or a date; undefined when it asks for nothing, or for what nobody can read. */
export function readRetryAfter(header: string | null, now: number): RetryAfter | undefined {
  const text = header?.trim() ?? "";
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return ms > 0 ? new RetryAfter(ms) : undefined;
}

/** For how long the service behind an error asks to be left alone, in milliseconds; 0 when it does not. */
export function retryAfterMs(error: unknown): number {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof RetryAfter ? cause.ms : 0;
}
