import { afterAll, setDefaultTimeout, test } from "bun:test";
import { fuzz } from "./run.ts";
import { makeTargets } from "./targets.ts";

setDefaultTimeout(120_000);

const { targets, close } = await makeTargets();
afterAll(close);

// `make fuzz` goes on for longer.
test.each(Object.keys(targets))("%s: whatever comes is read or refused in words", async (name) => {
  await fuzz(name, targets[name]!, { cases: 400 });
});
