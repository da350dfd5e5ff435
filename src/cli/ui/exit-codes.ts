import { type ExitCode, exitCodes } from "../../lib/errors.ts";

type ExitCodeMeaning = { code: ExitCode; short: string; meaning: string };

/** What each exit code of the program says. */
export const exitCodeMeanings: ExitCodeMeaning[] = [
  { code: exitCodes.ok, short: "ok", meaning: "the command did what it was asked to do" },
  { code: exitCodes.failed, short: "failed", meaning: "it did not; the message says why, the hint what to do" },
  {
    code: exitCodes.usage,
    short: "usage",
    meaning: "the command line cannot be understood, or a value in it is not valid",
  },
  {
    code: exitCodes.notInitialised,
    short: "not initialised",
    meaning: "there is no node here yet: `blindference init`",
  },
  {
    code: exitCodes.authentication,
    short: "authentication",
    meaning: "a password or another credential is missing or wrong",
  },
  {
    code: exitCodes.tryAgain,
    short: "try again",
    meaning: "something outside did not answer; the same command may work later",
  },
];
