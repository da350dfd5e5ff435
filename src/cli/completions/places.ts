import type { Command, Option } from "commander";

export type Word = { text: string; description: string };

/** A place of the command line, after some command: what may be typed there. */
export type Place = {
  /** Words of the command without the program's name: `["staking", "stake"]`. */
  path: string[];
  commands: Word[];
  options: Word[];
  /** Values of the command's first argument, where they are known. */
  values: string[];
  /** Options that take a value, with the values where they are known; otherwise it may be a file. */
  valued: { flags: string[]; choices: string[] }[];
};

/** Every place of the program, from the definitions of its commands. */
export function completionPlaces(command: Command, path: string[] = []): Place[] {
  const helper = command.createHelp();
  const options = helper.visibleOptions(command);
  const children = helper.visibleCommands(command);
  const place: Place = {
    path,
    commands: children.map((child) => ({ text: child.name(), description: child.description() })),
    options: options.map((option) => ({ text: option.long ?? option.short!, description: option.description })),
    values: command.registeredArguments[0]?.argChoices ?? [],
    valued: options
      .filter((option) => option.required || option.optional)
      .map((option) => ({ flags: flagsOf(option), choices: option.argChoices ?? [] })),
  };
  const below = command.commands.flatMap((child) => completionPlaces(child, [...path, child.name()]));
  return [place, ...below];
}

function flagsOf(option: Option): string[] {
  return [option.short, option.long].filter((flag) => flag !== undefined);
}

/** All words of a place, in the order in which they are offered. */
export function wordsOf(place: Place): Word[] {
  return [...place.commands, ...place.values.map((text) => ({ text, description: "" })), ...place.options];
}

/** Text in single quotes for sh, bash and zsh. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
