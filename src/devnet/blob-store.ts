import { type Context, Hono } from "hono";
import { bytesMatch, type ContentId, fileTooLarge, parseCid } from "../ipfs/cid.ts";
import { type Block, buildFile, findLayout, type Layout, layoutV1 } from "../ipfs/unixfs.ts";
import { writeCar } from "./blob-store/car.ts";
import { type BlobStorage, createDirectoryStorage, createMemoryStorage } from "./blob-store/storage.ts";
import { uploadRoutes } from "./blob-store/upload-routes.ts";

export type BlobStoreOptions = {
  /** Where files are kept; in memory without it. Only ciphertext ever arrives here. */
  directory?: string;
  /** Largest file, in bytes (16 MiB). */
  maxBytes?: number;
};

export type BlobStore = {
  /** `/ipfs/:cid` as an IPFS gateway, `/api/v0/add` as Kubo, `/pinning/pinFileToIPFS` as Pinata. */
  app: Hono;
  /**
   * Keeps a file and returns its CID version 1: raw up to 256 KiB, UnixFS above.
   * @throws BlfError `IPFS_BODY_TOO_LARGE`, `FILE_*`
   */
  put(bytes: Uint8Array): Promise<string>;
  /**
   * @throws BlfError `CID_INVALID`, `CID_UNSUPPORTED`, `FILE_*`
   */
  get(cid: string): Uint8Array | undefined;
};

/** A content-addressed store that answers like an IPFS gateway. */
export function createBlobStore(options: BlobStoreOptions = {}): BlobStore {
  const maxBytes = options.maxBytes ?? 16 * 1024 * 1024;
  const storage = options.directory ? createDirectoryStorage(options.directory) : createMemoryStorage();
  const store = async (bytes: Uint8Array, layout: Layout): Promise<string> => {
    if (bytes.length > maxBytes) throw fileTooLarge(maxBytes);
    const cid = (await buildFile(bytes, layout)).toString();
    storage.write(cid, bytes);
    return cid;
  };
  const app = new Hono();
  app.get("/ipfs/:cid", (context) => answer(context, storage));
  app.route("/", uploadRoutes(store, maxBytes));
  return {
    app,
    put: (bytes) => store(bytes, layoutV1),
    get: (cid) => storage.read(parseCid(cid).text),
  };
}

type Form = "plain" | "raw" | "car";

const contentTypes: Record<Form, string> = {
  plain: "application/octet-stream",
  raw: "application/vnd.ipld.raw",
  car: "application/vnd.ipld.car; version=1; order=dfs; dups=n",
};

/** The gateway: HEAD is answered by Hono from GET. */
async function answer(context: Context, storage: BlobStorage): Promise<Response> {
  let id: ContentId;
  try {
    id = parseCid(context.req.param("cid") ?? "");
  } catch {
    return context.text("invalid ipfs path\n", 400);
  }
  const form = requestedForm(context);
  if (form === undefined) return context.text("requested response format is not supported\n", 406);
  const file = storage.read(id.text);
  if (file === undefined) return context.text(`ipfs resolve -r /ipfs/${id.text}: not found\n`, 404);
  const body = form === "plain" ? file : await blocksOf(id, file, form);
  if (body === undefined) return context.text("the stored file is damaged\n", 500);
  return context.body(body as Uint8Array<ArrayBuffer>, 200, {
    "Content-Type": contentTypes[form],
    "Content-Length": String(body.length),
    "Cache-Control": "public, max-age=29030400, immutable",
    Etag: form === "plain" ? `"${id.text}"` : `"${id.text}.${form}"`,
    "X-Content-Type-Options": "nosniff",
    "X-Ipfs-Path": `/ipfs/${id.text}`,
  });
}

/** `?format=` counts more than the Accept header, as the specification of gateways says. */
function requestedForm(context: Context): Form | undefined {
  const format = context.req.query("format");
  if (format !== undefined) return format === "raw" || format === "car" ? format : undefined;
  const accept = context.req.header("accept") ?? "";
  if (accept.includes("application/vnd.ipld.car")) return "car";
  return accept.includes("application/vnd.ipld.raw") ? "raw" : "plain";
}

/** The root block, or all blocks with the root first. Undefined if the file is not the one that its name says. */
async function blocksOf(id: ContentId, file: Uint8Array, form: "raw" | "car"): Promise<Uint8Array | undefined> {
  const blocks = new Map<string, Block>();
  if (id.codec === "raw") {
    if (!(await bytesMatch(id, file))) return undefined;
    blocks.set(id.text, { cid: id.cid, bytes: file });
  } else {
    const layout = await findLayout(id, file);
    if (layout === undefined) return undefined;
    await buildFile(file, layout, (block) => blocks.set(block.cid.toString(), block));
  }
  const root = blocks.get(id.text);
  if (root === undefined || form === "raw") return root?.bytes;
  return writeCar(id.cid, [root, ...[...blocks.values()].filter((block) => block !== root)]);
}
