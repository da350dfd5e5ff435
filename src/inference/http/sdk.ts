import { unexpectedAnswer } from "./errors.ts";
import type { Service } from "./service.ts";

type SdkFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** What a library is told in place of the key: ours is added where the request leaves, so that the library cannot leak it. */
export const placeholderKey = "added-later";

/**
 * Lets a service's own library make the request and read the answer, but not send it: its requests go through `send`, which knows no
 * redirects, and its errors, which quote prompts and answers, end here.
 * @param run gets the `fetch` that the library is to use
 * @param send sends a JSON body to a path below the service's base URL, and gives the JSON text of the answer
 * @throws BlfError `<prefix>_UNEXPECTED_ANSWER`, and what `send` throws
 */
export async function throughSdk<T>(
  service: Service,
  send: (path: string, body: string) => Promise<string>,
  run: (fetch: SdkFetch) => Promise<T>,
): Promise<T> {
  let failure: { error: unknown } | undefined;
  let sent = false;
  const fetch: SdkFetch = async (input, init) => {
    sent = true;
    try {
      const text = await send(pathOf(service, String(input)), String(init?.body));
      return new Response(text, { headers: { "content-type": "application/json" } });
    } catch (error) {
      failure = { error };
      throw error;
    }
  };
  try {
    const result = await run(fetch);
    if (sent) return result;
  } catch {
    if (failure) throw failure.error;
  }
  throw unexpectedAnswer(service, "its library cannot read it");
}

function pathOf(service: Service, url: string): string {
  if (url.startsWith(`${service.baseUrl}/`)) return url.slice(service.baseUrl.length);
  throw unexpectedAnswer(service, "its library asks another address");
}
