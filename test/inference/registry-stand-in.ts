import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { gzipSync } from "bun";
import type { GpuPackage } from "../../src/inference/llama/packs/gpu-packages.ts";

/** An entry of a tarball: `type` as tar has it, "0" being a file and "2" a symbolic link. */
export type TarEntry = { path: string; content?: string | Uint8Array; type?: string; target?: string };

/** A tarball as npm makes them. Written here byte for byte, so that it may also hold what no packer would write. */
export function tarball(entries: TarEntry[]): Uint8Array<ArrayBuffer> {
  const blocks = entries.flatMap(({ path, content = "", type = "0", target = "" }) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const header = new Uint8Array(512);
    const put = (text: string, offset: number) => header.set(new TextEncoder().encode(text), offset);
    const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
    put(path, 0);
    put(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0${octal(bytes.length, 11)}\0${octal(0, 11)}\0`, 100);
    put("        ", 148);
    put(type, 156);
    put(target, 157);
    put("ustar\x0000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(`${octal(sum, 6)}\0 `, 148);
    return [header, bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, new Uint8Array(1024)]));
}

/** The files of a package of llama.cpp for CUDA, in small. */
export function enginePackage(options: { gpu?: string; without?: string; more?: TarEntry[] } = {}): TarEntry[] {
  const metadata = { buildOptions: { gpu: options.gpu ?? "cuda", llamaCpp: { repo: "x/y", release: "v9" } } };
  const bins = "package/bins/linux-x64-cuda";
  const files: TarEntry[] = [
    { path: "package/package.json", content: "{}" },
    { path: `${bins}/_nlcBuildMetadata.json`, content: JSON.stringify(metadata) },
    { path: `${bins}/llama-addon.node`, content: noise(300_000) },
    { path: `${bins}/libggml-cpu-haswell.so`, content: "haswell" },
    { path: `${bins}/libggml-cpu-x64.so`, content: "x64" },
    { path: `${bins}/libggml-cpu-zen4.so`, content: "zen4" },
    { path: `${bins}/libggml-cuda.so`, content: "kernels" },
  ];
  return [...files.filter(({ path }) => path !== `${bins}/${options.without}`), ...(options.more ?? [])];
}

/** Bytes that no compression makes shorter. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** What a package is called and pinned as. */
export function pinned(name: string, bytes: Uint8Array): GpuPackage {
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  return { name: `@node-llama-cpp/${name}`, version: "1.2.3", integrity };
}

export type StandIn = {
  url: string;
  /** Range headers that were asked with, or "" for none, in order. */
  ranges: string[];
  paths: string[];
  [Symbol.asyncDispose](): Promise<void>;
};

type Answer = (request: Request, attempt: number) => Response | Promise<Response>;

/** A registry on the loopback that answers as it is told. */
export function standIn(answer: Answer): StandIn {
  const ranges: string[] = [];
  const paths: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      ranges.push(request.headers.get("range") ?? "");
      paths.push(new URL(request.url).pathname);
      return answer(request, ranges.length);
    },
  });
  return {
    url: server.url.href.replace(/\/$/, ""),
    ranges,
    paths,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** The bytes, or the part of them that is asked for. */
export function served(bytes: Uint8Array<ArrayBuffer>, request: Request): Response {
  const first = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? "0");
  if (first === 0) return new Response(bytes);
  const headers = { "Content-Range": `bytes ${first}-${bytes.length - 1}/${bytes.length}` };
  return new Response(bytes.subarray(first), { status: 206, headers });
}

/** A server that writes what it is told and hangs up: heads that lie, and bodies that end early. */
export async function rawStandIn(answer: (range: string, attempt: number) => { head: string[]; body: Uint8Array }) {
  const ranges: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (request) => {
      const range = /^range: *(.*)$/im.exec(request.toString("latin1"))?.[1]?.trim() ?? "";
      const { head, body } = answer(range, ranges.push(range));
      socket.write(`${head.join("\r\n")}\r\nConnection: close\r\n\r\n`);
      socket.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    ranges,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
