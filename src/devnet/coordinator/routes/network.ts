import { Hono } from "hono";
import { getAddress, isAddress } from "viem";
import type { Context } from "../context.ts";
import { answer, type Env, parseTyped, RequestError } from "../http.ts";
import { isActive } from "../quorum.ts";
import { activeNodesSchema } from "../schemas.ts";
import { nodeView } from "../views.ts";

/** Health, nodes and models (PROTOCOL.md 5.16 and 6). */
export function networkRoutes(ctx: Context): Hono<Env> {
  const { state } = ctx;
  const app = new Hono<Env>();
  const activeNodes = () => [...state.nodes.values()].filter((node) => isActive(ctx, node));

  app.get("/", (c) => answer(c, { message: "Blindference ICL is running" }));

  app.get("/health", async (c) => {
    const connected = await ctx.chain.isConnected();
    // The state is this process's own memory, so the field that asks for the database is true whenever anybody can ask.
    return answer(c, { status: connected ? "ok" : "degraded", chain_connected: connected, mongo_connected: true });
  });

  app.get("/v1/nodes/active", (c) => {
    const query = parseTyped(activeNodesSchema, c.req.query(), "query");
    const wanted = activeNodes().filter((node) => node.tier >= query.min_tier && !query.zdr_required);
    return answer(
      c,
      wanted.map((node) => nodeView(node, true)),
    );
  });

  app.get("/v1/nodes/:address", (c) => {
    const text = c.req.param("address");
    if (!isAddress(text, { strict: false })) throw new RequestError(400, `invalid address: ${text.slice(0, 100)}`);
    const node = state.nodes.get(getAddress(text));
    if (!node) throw new RequestError(404, `node ${getAddress(text)} not found`);
    return answer(c, nodeView(node, isActive(ctx, node)));
  });

  app.get("/v1/models", (c) => {
    const ids = new Set(activeNodes().flatMap((node) => node.models));
    return answer(
      c,
      [...ids].sort().map((id) => ({
        model_id: id,
        name: id.slice(id.indexOf(":") + 1),
        provider: id.includes(":") ? id.slice(0, id.indexOf(":")) : "local",
        min_tier: 0,
        zdr_required: false,
        metadata: {},
      })),
    );
  });

  return app;
}
