const given = new Set<number>();

/**
 * A port on which nobody listens, for a process that begins to listen later, or again. It lies below those that the system gives to
 * whoever asks for any port, so that none of them can take it meanwhile.
 */
export function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (given.has(port) || !isFree(port)) continue;
    given.add(port);
    return port;
  }
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
