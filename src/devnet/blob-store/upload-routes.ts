import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Layout } from "../../ipfs/unixfs.ts";
import { layoutV0, layoutV1 } from "../../ipfs/unixfs.ts";

export type StoreFile = (bytes: Uint8Array, layout: Layout) => Promise<string>;

/** Boundaries and headers of a multipart body. */
const formOverheadBytes = 16 * 1024;

/** The two ways in which a file is uploaded: as to Kubo's RPC, and as to Pinata (PROTOCOL.md 4.10). */
export function uploadRoutes(store: StoreFile, maxBytes: number): Hono {
  const app = new Hono();
  const limit = bodyLimit({
    maxSize: maxBytes + formOverheadBytes,
    onError: (context) => context.json({ Message: "file too large", Code: 0, Type: "error" }, 413),
  });

  app.post("/api/v0/add", limit, async (context) => {
    const refused = (message: string, status: 400 | 413 = 400) =>
      context.json({ Message: message, Code: 0, Type: "error" }, status);
    const layout = kuboLayout(context);
    if (layout === undefined) return refused("unsupported combination of options");
    const form = await readForm(context);
    if (form === undefined) return refused("file argument 'path' is required");
    if (form.bytes.length > maxBytes) return refused("file too large", 413);
    const hash = await store(form.bytes, layout);
    return context.json({ Name: form.name || hash, Hash: hash, Size: String(form.bytes.length) });
  });

  app.post("/pinning/pinFileToIPFS", limit, async (context) => {
    const refused = (reason: string, details: string, status: 400 | 401 | 413) =>
      context.json({ error: { reason, details } }, status);
    if (!/^Bearer \S+$/.test(context.req.header("authorization") ?? ""))
      return refused("INVALID_CREDENTIALS", "Invalid/expired credentials", 401);
    const form = await readForm(context);
    if (form === undefined) return refused("INVALID_REQUEST", "More than one file or no file was sent", 400);
    if (form.bytes.length > maxBytes) return refused("FILE_TOO_LARGE", "The file is too large", 413);
    const hash = await store(form.bytes, wantsVersion1(form.options) ? layoutV1 : layoutV0);
    return context.json({ IpfsHash: hash, PinSize: form.bytes.length, Timestamp: new Date().toISOString() });
  });
  return app;
}

/** Kubo's defaults: CID version 0 without raw leaves, version 1 with them. */
function kuboLayout(context: Context): Layout | undefined {
  const version = context.req.query("cid-version") ?? (context.req.query("raw-leaves") === "true" ? "1" : "0");
  if (version !== "0" && version !== "1") return undefined;
  const layout = version === "1" ? layoutV1 : layoutV0;
  const rawLeaves = context.req.query("raw-leaves") ?? String(layout.rawLeaves);
  if (rawLeaves !== "true" && rawLeaves !== "false") return undefined;
  if (layout.cidVersion === 0 && rawLeaves === "true") return undefined;
  return { ...layout, rawLeaves: rawLeaves === "true" };
}

/** The one file of a multipart body, whatever its field is called. */
async function readForm(context: Context) {
  const form = await context.req.formData().catch(() => undefined);
  const files = [...(form?.values() ?? [])].filter((value) => typeof value !== "string") as unknown as File[];
  const [file] = files;
  if (form === undefined || file === undefined || files.length > 1) return undefined;
  return { bytes: new Uint8Array(await file.arrayBuffer()), name: file.name, options: form.get("pinataOptions") };
}

function wantsVersion1(options: unknown): boolean {
  try {
    return (JSON.parse(String(options)) as { cidVersion?: unknown } | null)?.cidVersion === 1;
  } catch {
    return false;
  }
}
