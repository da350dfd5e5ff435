import { unpackBody } from "./content-encoding.ts";
import { type Fetch, plainAnswer, readBody } from "./http.ts";

/** For libraries that fetch by themselves: bodies of at most `maxBytes`, unpacked or not, and no redirects. */
export function createBoundedFetch(fetch: Fetch, maxBytes: number) {
  const tooLarge = () => new TypeError(`the answer has more than ${maxBytes} bytes`);
  return async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = typeof input === "string" ? input : "href" in input ? input.href : input.url;
    const headers = Object.fromEntries(new Headers(init.headers));
    const response = await fetch(url, { ...init, ...plainAnswer(headers) });
    const packed = await readBody(response, maxBytes, tooLarge);
    const bytes = await unpackBody(packed, response.headers.get("content-encoding"), maxBytes);
    const kept = new Headers(response.headers);
    kept.delete("content-encoding");
    kept.delete("content-length");
    const { status } = response;
    const hasBody = status !== 204 && status !== 205 && status !== 304;
    return new Response(hasBody ? (bytes as Uint8Array<ArrayBuffer>) : null, { status, headers: kept });
  };
}
