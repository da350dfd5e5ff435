export type UntilOptions = {
  /** Done before each look, for example to move a clock. */
  tick?: () => void | Promise<void>;
  timeoutMs?: number;
};

/** Waits for a condition and gives its first truthy value. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { tick, timeoutMs = 20_000 }: UntilOptions = {},
): Promise<NonNullable<T>> {
  for (const giveUp = Date.now() + timeoutMs; Date.now() < giveUp; ) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    await tick?.();
    await Bun.sleep(5);
  }
  throw new Error(`timed out waiting until ${what}`);
}
