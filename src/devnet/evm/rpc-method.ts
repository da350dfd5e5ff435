/** JSON-RPC methods by name; each takes the request's parameters. */
export type Methods = Record<string, (params: unknown[]) => unknown>;
