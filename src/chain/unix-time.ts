import { latestTime } from "../lib/clock.ts";

/** Unix seconds as a contract or a block gives them. A time that no calendar has, which may mean "never", is the last one there is. */
export function unixTime(seconds: bigint): number {
  if (seconds < 0n) return 0;
  return seconds < BigInt(latestTime) ? Number(seconds) : latestTime;
}
