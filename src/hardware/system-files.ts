import { readdirSync, readFileSync } from "node:fs";

/** What is read of /proc and /sys. A file or directory that is not there is undefined, or empty. */
export type SystemFiles = {
  readText(path: string): string | undefined;
  list(path: string): string[];
};

export const systemFiles: SystemFiles = {
  readText: (path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
  list: (path) => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
};
