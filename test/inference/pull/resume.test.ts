import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDirectory } from "../../helpers/temp-directory.ts";
import { failureOf } from "../fixture.ts";
import { modelOfSize, serveModel, sha256 } from "../model-server.ts";
import { chunkSize, chunks, content, hash, model, pull } from "./fixture.ts";

setDefaultTimeout(120_000);

describe("an interrupted download", () => {
  const interruptAfter = (bytes: number) => {
    const controller = new AbortController();
    const onProgress = ({ received }: { received: number }) => {
      if (received >= bytes) controller.abort(new Error("stop"));
    };
    return { signal: controller.signal, onProgress };
  };

  test("goes on with the chunks that are there", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model);
    const stopped = pull(directory, server.url, { sha256: hash, connections: 1, ...interruptAfter(10 * chunkSize) });
    await expect(stopped).rejects.toThrow("stop");
    expect(readdirSync(directory.path).sort()).toEqual(["m.gguf.part", "m.gguf.part.json"]);
    const before = server.requests.length;
    const result = await pull(directory, server.url, { sha256: hash });
    expect(result).toMatchObject({ resumed: 10 * chunkSize, refetched: 0, sha256: hash });
    expect(server.requests.slice(before).filter(({ end, start }) => end - start > 1)).toHaveLength(chunks - 10);
    expect(readdirSync(directory.path)).toEqual(["m.gguf"]);
  });

  test("does not believe what the disk has lost", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model);
    const stopped = pull(directory, server.url, { connections: 1, ...interruptAfter(10 * chunkSize) });
    await expect(stopped).rejects.toThrow("stop");
    const part = join(directory.path, "m.gguf.part");
    const bytes = readFileSync(part);
    bytes.fill(0, 4 * chunkSize, 4 * chunkSize + 100);
    writeFileSync(part, bytes.subarray(0, 8 * chunkSize));
    const result = await pull(directory, server.url);
    expect([result.sha256, content(directory)]).toEqual([hash, hash]);
    expect(server.fetches(chunkSize).flatMap((count, index) => (count > 1 ? [index] : []))).toEqual([4, 8, 9]);
  });

  test("begins anew when the state is damaged or the file is another one by now", async () => {
    for (const spoil of ["{", `{"version":1}`, "other file"]) {
      using directory = tempDirectory();
      using server = await serveModel(model);
      const stopped = pull(directory, server.url, { connections: 1, ...interruptAfter(10 * chunkSize) });
      await expect(stopped).rejects.toThrow("stop");
      if (spoil !== "other file") {
        writeFileSync(join(directory.path, "m.gguf.part.json"), spoil);
        expect(await pull(directory, server.url)).toMatchObject({ resumed: 0, sha256: hash });
        continue;
      }
      const other = modelOfSize(900_000);
      using newer = await serveModel(other);
      expect(await pull(directory, newer.url)).toMatchObject({ resumed: 0, sha256: sha256(other) });
    }
  });

  test("is not joined by a second one", async () => {
    using directory = tempDirectory();
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    using server = await serveModel(model, {
      pause: ({ start }) => {
        if (start === 0) return undefined;
        begun.resolve();
        return promise;
      },
    });
    const first = pull(directory, server.url, { sha256: hash });
    await begun.promise;
    expect((await failureOf(() => pull(directory, server.url))).code).toBe("PULL_RUNNING");
    resolve();
    expect((await first).sha256).toBe(hash);
    expect(readdirSync(directory.path)).toEqual(["m.gguf"]);
  });
});
