import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cachedPack, createPack, type PackContent, packContent } from "../../native/pack.ts";
import { platforms } from "../../native/platforms.ts";
import { findSystemLibrary, newestGlibc } from "../../native/system-libraries.ts";
import { openPack, packedBytes } from "../../src/inference/llama/pack.ts";
import { cpuVariants, hostTarget } from "../../src/inference/llama/platform.ts";
import { failureOf, temporaryDirectory } from "../inference/fixture.ts";

const text = (value: string) => new TextEncoder().encode(value);

const content: PackContent = {
  target: "linux-x64",
  release: "v1",
  files: [
    { name: "b.so", bytes: text("bbbb".repeat(100)), role: "common" },
    { name: "a.so", bytes: text("kernels"), role: "cpu", variant: "haswell" },
  ],
};

describe("pack", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(() => directory.remove());

  test("gives back what was put in", async () => {
    const pack = await openPack(directory.file("round.pack", createPack(content, { level: 3 })));
    expect(pack.header.target).toBe("linux-x64");
    expect(pack.header.files.map(({ name, role, variant }) => [name, role, variant])).toEqual([
      ["a.so", "cpu", "haswell"],
      ["b.so", "common", undefined],
    ]);
    const body = await pack.body();
    expect(pack.header.files.map((file) => new TextDecoder().decode(packedBytes(body, file)))).toEqual([
      "kernels",
      "bbbb".repeat(100),
    ]);
  });

  test("has the same bytes for the same content, in whatever order", () => {
    const reversed = { ...content, files: content.files.toReversed() };
    expect(createPack(reversed)).toEqual(createPack(content));
  });

  test("has another id when a byte changes", async () => {
    const changed = { ...content, files: [content.files[0]!, { ...content.files[1]!, bytes: text("Kernels") }] };
    const [before, after] = await Promise.all([
      openPack(directory.file("before.pack", createPack(content))),
      openPack(directory.file("after.pack", createPack(changed))),
    ]);
    expect(after.header.id).not.toBe(before.header.id);
  });

  test("is refused when it is damaged anywhere", async () => {
    const good = createPack(content);
    for (let position = 0; position < good.length; position += 3) {
      const bad = good.slice();
      bad[position]! ^= 0x55;
      const read = async () => {
        const pack = await openPack(directory.file("bad.pack", bad));
        const body = await pack.body();
        for (const file of pack.header.files) packedBytes(body, file);
      };
      expect((await failureOf(read)).code).toBe("NATIVE_PACK_CORRUPT");
    }
    const cut = directory.file("cut.pack", good.subarray(0, good.length - 5));
    expect((await failureOf(async () => (await openPack(cut)).body())).code).toBe("NATIVE_PACK_CORRUPT");
    expect((await failureOf(() => openPack(directory.file("empty.pack", "")))).code).toBe("NATIVE_PACK_CORRUPT");
  });

  test("is compressed once and then found", () => {
    const packs = join(directory.path, "packs");
    const path = cachedPack(content, packs, { level: 1 });
    const before = readFileSync(path);
    expect(cachedPack({ ...content, files: content.files.toReversed() }, packs, { level: 1 })).toBe(path);
    expect(readFileSync(path)).toEqual(before);
    expect(cachedPack(content, packs, { level: 2 })).not.toBe(path);
    expect(readdirSync(packs)).toHaveLength(2);
  });

  test("of this platform holds llama.cpp with the pinned kernels only", () => {
    const target = hostTarget();
    const lines: string[] = [];
    const { files } = packContent(platforms[target], new URL("../..", import.meta.url).pathname, (line) =>
      lines.push(line),
    );
    const kernels = files.filter(({ role }) => role === "cpu").map(({ variant }) => variant);
    expect(kernels.toSorted()).toEqual(cpuVariants[target].map(({ name }) => name).toSorted());
    const names = files.map(({ name }) => name);
    expect(names).toContain("llama-addon.node");
    expect(names.some((name) => name.includes("blas"))).toBe(false);
    if (process.platform === "linux") expect(lines.join("\n")).toMatch(/need glibc \d+\.\d+/);
  });
});

describe("system libraries", () => {
  test.skipIf(process.platform !== "linux")("are found for the processor that is asked for", () => {
    const cpu = process.arch === "arm64" ? "arm64" : "x64";
    expect(findSystemLibrary("libc.so.6", cpu)).toMatch(/libc/);
    expect(findSystemLibrary("libc.so.6", cpu === "x64" ? "arm64" : "x64")).toBeUndefined();
    expect(findSystemLibrary("libthere-is-none.so.9", cpu)).toBeUndefined();
  });

  test("tell the newest glibc by number, not by letter", () => {
    const library = text("GLIBC_2.4\0GLIBC_2.17\0GLIBCXX_3.4.30\0GLIBC_2.9\0");
    expect(newestGlibc([library, text("GLIBC_2.2.5\0")])).toBe("2.17");
    expect(newestGlibc([])).toBeUndefined();
  });
});
