/** Whether the runtime's `fetch` sends requests through a proxy: it reads these variables. Connections of our own do not. */
export function hasProxy(env: Record<string, string | undefined> = process.env): boolean {
  return ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].some((name) => (env[name] ?? "") !== "");
}
