import type { Chain } from "./chain.ts";
import { developmentMethods } from "./methods-development.ts";
import { executionMethods } from "./methods-execution.ts";
import { queryMethods } from "./methods-query.ts";
import type { Methods } from "./rpc-method.ts";

/** Every method that the chain answers, by name. A null prototype, so that no inherited name passes for a method. */
export function createMethods(chain: Chain): Methods {
  return Object.assign(
    Object.create(null),
    queryMethods(chain),
    executionMethods(chain),
    developmentMethods(chain),
  ) as Methods;
}
