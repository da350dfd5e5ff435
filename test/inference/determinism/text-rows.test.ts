import { expect, test } from "bun:test";
import type { GenerateOptions, Generation } from "../../../src/inference/backend.ts";
import { runTextRows, type Testable } from "../../../src/inference/determinism/text-rows.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import { failureOf, never } from "../fixture.ts";

type Asked = { prompt: string; opened: number; before: number; running: number };

/** A backend that answers with what `say` makes of what it was asked and when. */
function backends(say: (asked: Asked) => string) {
  let opened = 0;
  const closed: number[] = [];
  const open = async (): Promise<Testable> => {
    const own = ++opened;
    let [before, running] = [0, 0];
    return {
      generate: async ({ prompt }, { onToken }: GenerateOptions): Promise<Generation> => {
        running++;
        await Promise.resolve();
        const text = say({ prompt, opened: own, before: before++, running });
        for (const piece of text.match(/\S+\s*/g) ?? []) onToken?.(piece);
        await Promise.resolve();
        running--;
        const words = text.split(" ").length;
        return { text, promptTokens: 1, outputTokens: words, finishReason: "stop", determinismClass: "c", ms: 1 };
      },
      close: async () => void closed.push(own),
    };
  };
  return { open, closed };
}

const prompts = [
  { name: "one", text: "the first prompt" },
  { name: "two", text: "the second prompt" },
];
const options = { modelId: "m", prompts, runs: 4, rounds: 2, signal: never };

test("a steady backend is identical in every row, and both of it are closed", async () => {
  const { open, closed } = backends(({ prompt }) => `answer to ${prompt}`);
  const { rows, determinismClass, prompts: tested } = await runTextRows({ ...options, open });
  expect(rows.map(({ name, verdict, compared }) => [name, verdict, compared])).toEqual([
    ["repeated 4 times", "identical", 4],
    ["after another prompt", "identical", 2],
    ["1 at once", "identical", 2],
    ["2 at once", "identical", 4],
    ["4 at once", "identical", 8],
    ["8 at once", "identical", 16],
    ["4 at once, staggered", "identical", 8],
    ["cold start, new process", "identical", 2],
  ]);
  expect([determinismClass, tested.map(({ name }) => name), closed]).toEqual(["c", ["one", "two"], [1, 2]]);
});

test.each<[string, (asked: Asked) => boolean, string[]]>([
  ["in a new process", ({ opened }) => opened === 2, ["cold start, new process"]],
  ["beside three others", ({ running }) => running > 3, ["4 at once", "8 at once"]],
  ["at the third time of asking", ({ before }) => before === 2, ["repeated 4 times"]],
])("a backend that answers otherwise %s is found in its row", async (_name, isOdd, expected) => {
  const { open } = backends((asked) => `a plain ${isOdd(asked) ? "lie" : "truth"} of ${asked.prompt}`);
  const { rows } = await runTextRows({ ...options, open });
  const differing = rows.filter(({ verdict }) => verdict === "differs");
  for (const name of expected) expect(differing.map((row) => row.name)).toContain(name);
  const { divergence } = differing.find(({ name }) => name === expected[0])!;
  expect(divergence).toMatchObject({ kind: "text", token: 2, character: "a plain ".length });
  expect(divergence!.reference.text).toStartWith("truth");
  expect(divergence!.found.text).toStartWith("lie");
});

test("prompts that do not fit are named, unless they are required, and failures end the test in order", async () => {
  const tooLong = new BlfError({ code: "MODEL_PROMPT_TOO_LONG", message: "m", hint: "h" });
  const fails = (asked: Asked) => {
    if (asked.prompt.includes("second")) throw tooLong;
    return "fine";
  };
  const { open, closed } = backends(fails);
  const { skipped, prompts: tested } = await runTextRows({ ...options, open });
  expect([skipped, tested.map(({ name }) => name), closed]).toEqual([["two"], ["one"], [1, 2]]);
  const strict = backends(fails);
  const required = prompts.map((prompt) => ({ ...prompt, required: true }));
  const error = await failureOf(() => runTextRows({ ...options, prompts: required, open: strict.open }));
  expect([error.code, strict.closed]).toEqual(["MODEL_PROMPT_TOO_LONG", [1]]);
});
