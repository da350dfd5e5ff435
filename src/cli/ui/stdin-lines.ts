/** The first `count` lines of standard input, without their ends; fewer when it holds fewer. Reads no further than it needs to. */
export async function readStdinLines(count: number): Promise<string[]> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Bun.stdin.stream() as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > count) break;
  }
  return text.split(/\r?\n/).slice(0, count);
}
