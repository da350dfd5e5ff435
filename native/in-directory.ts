/**
 * Does something with another working directory. Meant for the bundler, which names its chunks after where the sources lie as seen from
 * there: the same sources would give other bytes when somebody builds them from elsewhere. Not for two at once.
 */
export async function inDirectory<T>(directory: string, action: () => Promise<T>): Promise<T> {
  const before = process.cwd();
  process.chdir(directory);
  try {
    return await action();
  } finally {
    process.chdir(before);
  }
}
