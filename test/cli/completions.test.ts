import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commands } from "../../src/cli/commands.ts";
import { completionPlaces, type Place, wordsOf } from "../../src/cli/completions/places.ts";
import { outputs } from "../../src/cli/completions.ts";
import { loadWholeProgram } from "../../src/cli/tree.ts";
import { document } from "./document.ts";
import { failure } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const [fish, zsh] = [Bun.which("fish"), Bun.which("zsh")];
if (!fish || !zsh) console.warn("Completion in fish or zsh is not tested: the shell is not installed.");

let places: Place[];
const files: Record<string, string> = {};

beforeAll(async () => {
  places = completionPlaces(await loadWholeProgram());
  const directory = mkdtempSync(join(tmpdir(), "blf-completions-"));
  for (const shell of ["bash", "zsh", "fish"]) {
    const shown = await document<{ script: string }>(["completions", shell], {}, outputs, `completions ${shell}`);
    const { stdout } = await runCli(["completions", shell]);
    expect(stdout).toBe(`${shown.script.trimEnd()}\n`);
    files[shell] = join(directory, shell);
    writeFileSync(files[shell], stdout);
  }
});

function shell(command: string[]): string[] {
  const { stdout, stderr } = Bun.spawnSync(command, { env: { PATH: process.env["PATH"]!, HOME: "/nonexistent" } });
  expect(stderr.toString()).toBe("");
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "");
}

const engineKeys = [
  "engine.isolation",
  "engine.threads",
  "engine.sequences",
  "engine.idle_unload_minutes",
  "engine.verify_output",
];

/** What bash offers for the last of these words. */
function bash(...words: string[]): string[] {
  const script = `source "$0"; COMP_WORDS=(blindference "$@"); COMP_CWORD=$#; _blindference; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return shell(["bash", "--norc", "-c", script, files["bash"]!, ...words]);
}

describe("bash", () => {
  test("offers the words of every place", () => {
    for (const place of places) {
      const offered = bash(...place.path, "");
      expect([place.path, offered]).toEqual([place.path, wordsOf(place).map(({ text }) => text)]);
    }
    expect(places.length).toBeGreaterThan(Object.keys(commands).length);
  });

  test("completes what was begun", () => {
    expect(bash("sta")).toEqual(["staking", "status"]);
    expect(bash("staking", "sta")).toEqual(["stake", "status"]);
    expect(bash("staking", "--json", "stake", "--pass")).toEqual(["--password-stdin"]);
    expect(bash("config", "get", "engine.")).toEqual(engineKeys);
    expect(bash("help", "doc")).toEqual(["doctor"]);
  });

  test("leaves the value of an option to file names", () => {
    expect(bash("init", "--model", "")).toEqual([]);
  });
});

describe.skipIf(!fish)("fish", () => {
  const complete = (line: string) =>
    shell([fish!, "--no-config", "-c", `source ${files["fish"]}; complete -C "${line}"`]).map(
      (word) => word.split("\t")[0]!,
    );

  test("completes what was begun", () => {
    expect(complete("blindference sta")).toEqual(["staking", "status"]);
    expect(complete("blindference staking sta")).toEqual(["stake", "status"]);
    expect(complete("blindference staking stake --pass")).toEqual(["--password-stdin"]);
    expect(complete("blindference config get engine.")).toEqual(engineKeys);
  });

  test("offers the commands of every place", () => {
    for (const place of places) {
      const offered = complete(`blindference ${[...place.path, ""].join(" ")}`);
      const expected = [...place.commands.map(({ text }) => text), ...place.values];
      if (expected.length > 0) expect([place.path, offered.sort()]).toEqual([place.path, expected.sort()]);
    }
  });
});

describe.skipIf(!zsh)("zsh", () => {
  /** What is handed to _describe, without the descriptions. */
  const complete = (...words: string[]) => {
    const script = `compdef() { }; _files() { }; _describe() { print -rl -- "\${offered[@]}" }
source ${files["zsh"]}; words=(blindference "$@"); CURRENT=$#words; _blindference`;
    return shell([zsh!, "-f", "-c", script, "zsh", ...words]).map((item) => item.split(":")[0]!);
  };

  test("is offered the words of every place", () => {
    for (const place of places)
      expect([place.path, complete(...place.path, "")]).toEqual([place.path, wordsOf(place).map(({ text }) => text)]);
  });
});

test("needs the name of a shell that it knows", async () => {
  expect(await failure(["completions", "bsh"], {})).toMatchInlineSnapshot(
    `"2 Unknown command 'bsh' [USAGE] | Did you mean one of bash, zsh? Run \`blindference completions --help\`."`,
  );
});
