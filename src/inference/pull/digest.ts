/** A SHA-256 as 64 hex digits in lower case. */
export const sha256Pattern = /^[0-9a-f]{64}$/;

/** SHA-256 of exactly the bytes of one response (RFC 9530 `Content-Digest`), hex. For a 206 these are the bytes of the range. */
export function contentDigest(headers: Headers): string | undefined {
  return digestOf(headers.get("content-digest"));
}

/** SHA-256 of the whole file, by what a response says of it (RFC 9530 `Repr-Digest`), hex. */
export function representationDigest(headers: Headers): string | undefined {
  return digestOf(headers.get("repr-digest"));
}

/** SHA-256 of a large file of a hub: it is the ETag of the file itself, 64 hex digits. Small files have a shorter one, of git. */
export function linkedDigest(headers: Headers): string | undefined {
  const tag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
  return sha256Pattern.test(tag) ? tag : undefined;
}

/** The member `sha-256=:base64:` of a dictionary of structured fields. */
function digestOf(value: string | null): string | undefined {
  const base64 = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):/i.exec(value ?? "")?.[1];
  const hex = base64 === undefined ? "" : Buffer.from(base64, "base64").toString("hex");
  return sha256Pattern.test(hex) ? hex : undefined;
}

/** `bytes 0-7/200` → 0, 7, 200. */
export function contentRange(headers: Headers): { first: number; last: number; total: number } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers.get("content-range") ?? "");
  return match ? { first: Number(match[1]), last: Number(match[2]), total: Number(match[3]) } : undefined;
}
