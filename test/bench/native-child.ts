import { ensureNativeLibraries } from "../../src/inference/llama/native.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";

const log = createLogger({ level: "error", format: "text", clock: systemClock, write: console.error });
const started = performance.now();
const { extracted } = await ensureNativeLibraries({ log, cacheDirectories: process.argv.slice(2) });
console.log(JSON.stringify({ ms: performance.now() - started, extracted }));
