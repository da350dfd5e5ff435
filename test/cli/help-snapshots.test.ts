import { expect, test } from "bun:test";
import type { Command } from "commander";
import { loadWholeProgram } from "../../src/cli/tree.ts";

/** Every command with its path, parents before children. */
function everyCommand(parent: Command, path: string[] = []): [string, Command][] {
  return parent.commands.flatMap((command): [string, Command][] => {
    const own = [...path, command.name()];
    return [[own.join(" "), command as Command], ...everyCommand(command as Command, own)];
  });
}

const program = await loadWholeProgram();

/** Help is broken at the terminal's width, which a test must not depend on. */
function helpOf(command: Command): string {
  return command.configureOutput({ getOutHelpWidth: () => 100, getOutHasColors: () => false }).helpInformation();
}

test.each(everyCommand(program))("%s --help", (_path, command) => {
  expect(helpOf(command)).toMatchSnapshot();
});

test("every command says what it does and explains each of its options", () => {
  for (const [path, command] of everyCommand(program)) {
    expect([path, command.description()]).not.toEqual([path, ""]);
    for (const option of command.options) expect([path, option.long, option.description]).not.toContain("");
  }
});
