import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Command } from "commander";
import { outputs } from "../../src/cli/help.ts";
import { loadWholeProgram } from "../../src/cli/tree.ts";
import { otherDescriptions } from "../../src/config/descriptions.ts";
import { variables } from "../../src/config/environment.ts";
import { secretNames, secretVariables } from "../../src/config/secrets.ts";
import { exitCodes } from "../../src/lib/errors.ts";
import { document } from "./document.ts";
import { failure } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

type Help = { command: string; usage: string; options: { flags: string }[]; commands: { name: string }[] };
const help = (...path: string[]) => document<Help>(["help", ...path], {}, outputs, "help");

describe("help", () => {
  test("of a command inside another is that of its --help", async () => {
    for (const path of [["staking", "stake"], ["config", "set"], ["keys"], ["help", "env"]]) {
      const [asked, direct] = await Promise.all([runCli(["help", ...path]), runCli([...path, "--help"])]);
      expect(asked.stdout).toStartWith(`Usage: blindference ${path.join(" ")}`);
      expect(asked).toEqual(direct);
    }
  });

  test("as a document names options and commands", async () => {
    const staking = await help("staking");
    expect(staking.command).toBe("blindference staking");
    expect(staking.commands.map(({ name }) => name)).toEqual(expect.arrayContaining(["stake", "status"]));
    const stake = await help("staking", "stake");
    expect(stake.usage).toBe("blindference staking stake [options] <amount>");
    expect(stake.options.map(({ flags }) => flags)).toEqual(expect.arrayContaining(["--json", "--password-stdin"]));
    expect((await help()).commands.map(({ name }) => name)).toContain("doctor");
  });

  test("of a command that is not there suggests another", async () => {
    expect([
      await failure(["help", "statsu"], {}),
      await failure(["help", "staking", "stak"], {}),
      await failure(["help", "status", "more"], {}),
    ]).toMatchInlineSnapshot(`
      [
        "2 There is no command "statsu" [USAGE_UNKNOWN_COMMAND] | Did you mean \`blindference status\`?",
        "2 There is no command "staking stak" [USAGE_UNKNOWN_COMMAND] | Did you mean \`blindference staking stake\`?",
        "2 There is no command "status more" [USAGE_UNKNOWN_COMMAND] | Run \`blindference --help\` to see the commands.",
      ]
    `);
  });
});

describe("help env", () => {
  test("names every variable of the program, with what it sets and a meaning", async () => {
    type Variable = { name: string; key: string | null; meaning: string };
    const shown = await document<{ variables: Variable[] }>(["help", "env"], {}, outputs, "help env");
    const names = shown.variables.map(({ name }) => name);
    expect(names.sort()).toEqual([...new Set([...Object.keys(variables()), ...Object.keys(otherDescriptions)])].sort());
    expect(names).toEqual(expect.arrayContaining([...secretNames, ...secretVariables, "BLF_CONFIG_DIR"]));
    for (const { name, key, meaning } of shown.variables) {
      expect([name, meaning.length > 10]).toEqual([name, true]);
      expect([name, key]).toEqual([name, variables()[name]?.path.join(".") ?? null]);
    }
  });

  test("as text has one line for each", async () => {
    const { stdout, stderr } = await runCli(["help", "env"]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^BLF_ENGINE_THREADS +threads for generation/m);
    expect(stdout).toMatch(/^PROMPT_KEY_STORE_ADDRESS +the original's name of BLF_PROMPT_KEY_STORE_ADDRESS$/m);
  });
});

test("help exit-codes explains every code of the program", async () => {
  const { exitCodes: shown } = await document<{ exitCodes: { code: number; meaning: string }[] }>(
    ["help", "exit-codes"],
    {},
    outputs,
    "help exit-codes",
  );
  expect(shown.map(({ code }) => code).sort()).toEqual(Object.values(exitCodes).sort());
  const { stdout } = await runCli(["help", "exit-codes"]);
  expect(stdout).toMatch(/^ 3 {2}not initialised /m);
  expect(stdout.trimEnd().split("\n")).toHaveLength(shown.length);
});

test("every command and every option says what it does", async () => {
  const silent: string[] = [];
  const look = (command: Command, path: string) => {
    if (command.description() === "") silent.push(path);
    for (const option of command.options) if (option.description === "") silent.push(`${path} ${option.flags}`);
    for (const child of command.commands) look(child as Command, `${path} ${child.name()}`);
  };
  look(await loadWholeProgram(), "blindference");
  expect(silent).toEqual([]);
});
