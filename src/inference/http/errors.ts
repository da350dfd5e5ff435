import { BlfError } from "../../lib/errors.ts";
import { safeOrigin } from "../../lib/http.ts";
import type { Service } from "./service.ts";

/*
 * None of these quotes what a service said, and none has a cause: answers repeat prompts, and the runtime's errors hold URLs.
 */

const at = ({ name, baseUrl }: Service) => `${name} at ${safeOrigin(baseUrl)}`;
const checkUrl = ({ urlKey }: Service) => `Check that it runs, and \`blindference config get ${urlKey}\`.`;

/** @param reason the system's code, such as ECONNREFUSED */
export function unreachable(service: Service, reason: string): BlfError {
  return new BlfError({
    code: `${service.prefix}_UNREACHABLE`,
    message: `${at(service)} cannot be reached (${reason})`,
    hint: checkUrl(service),
    retryable: true,
  });
}

export function connectionLost(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_CONNECTION_LOST`,
    message: `${at(service)} ended the connection in the middle of its answer`,
    hint: "Look into its log; a proxy in between may have a shorter timeout.",
    retryable: true,
  });
}

export function timedOut(service: Service, ms: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_TIMEOUT`,
    message: `${at(service)} did not answer within ${ms / 1000} s`,
    hint: checkUrl(service),
    retryable: true,
  });
}

export function bodyTooLarge(service: Service, bytes: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_BODY_TOO_LARGE`,
    message: `${at(service)} sent more than ${bytes} bytes`,
    hint: checkUrl(service),
  });
}

export function redirected(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_REDIRECTED`,
    message: `${at(service)} redirects to another address, which is not followed`,
    hint: `Set ${service.urlKey} to the final address: keys and prompts go nowhere else.`,
  });
}

export function notJson(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_NOT_JSON`,
    message: `${at(service)} answered with something that is not JSON`,
    hint: checkUrl(service),
  });
}

/** @param what what is wrong with it, in words that quote nothing */
export function unexpectedAnswer(service: Service, what: string): BlfError {
  return new BlfError({
    code: `${service.prefix}_UNEXPECTED_ANSWER`,
    message: `${at(service)} answered unlike its interface: ${what}`,
    hint: checkUrl(service),
  });
}

export function errorAnswer(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_ERROR_ANSWER`,
    message: `${at(service)} answered HTTP 200 with an error in place of a result`,
    hint: "Look into the service's log.",
  });
}

export function emptyAnswer(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_ANSWER_EMPTY`,
    message: `${at(service)} answered without any result`,
    hint: "Try again later; if it stays so, look into the service's log.",
  });
}

export function truncatedAnswer(service: Service, tokens: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_ANSWER_TRUNCATED`,
    message: `${service.name} cut its answer off at the network's limit of ${tokens} tokens`,
    hint: "Nothing is wrong with this node: the prompt asks for a longer answer than the network allows.",
  });
}

/** @param reason one of the service's own words for it, already known to this program */
export function blockedAnswer(service: Service, reason: string): BlfError {
  return new BlfError({
    code: `${service.prefix}_ANSWER_BLOCKED`,
    message: `${service.name} withheld its answer (${reason})`,
    hint: "The service's rules forbid this prompt or its answer; another model may answer it.",
  });
}

export function incompleteAnswer(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_ANSWER_INCOMPLETE`,
    message: `${at(service)} gave an answer that it does not call finished`,
    hint: "Look into the service's log.",
  });
}

export function keyMissing(service: Service): BlfError {
  return new BlfError({
    code: `${service.prefix}_KEY_MISSING`,
    message: `${service.name} needs a key, and ${service.keyVariable} is not set`,
    hint: `Set ${service.keyVariable} in the node's environment.`,
  });
}

export function keyRefused(service: Service, status: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_KEY_REFUSED`,
    message: `${at(service)} refuses the key (HTTP ${status})`,
    hint: `Check ${service.keyVariable} in the node's environment.`,
  });
}

/** @param model as the operator wrote it, or undefined when an address is missing altogether */
export function modelUnknown(service: Service, model: string | undefined): BlfError {
  return new BlfError({
    code: `${service.prefix}_MODEL_UNKNOWN`,
    message:
      model === undefined ? `${at(service)} has no such model or address` : `${at(service)} has no model ${model}`,
    hint: `Compare \`blindference config get ${service.prefix.toLowerCase()}.models\` with the models that the service lists.`,
  });
}

export function modelMismatch(service: Service, model: string): BlfError {
  return new BlfError({
    code: `${service.prefix}_MODEL_MISMATCH`,
    message: `${at(service)} was asked for ${model} and answered as another model`,
    hint: "Use the name by which the service calls the model in its answers.",
  });
}

/** @param waitMs until the next request, in milliseconds */
export function rateLimited(service: Service, waitMs: number, retryable: boolean): BlfError {
  return new BlfError({
    code: `${service.prefix}_RATE_LIMITED`,
    message: `${at(service)} allows no request for another ${Math.ceil(waitMs / 1000)} s`,
    hint: "Its quota is used up: lower max_concurrent_jobs, or raise the quota.",
    retryable,
  });
}

export function unavailable(service: Service, status: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_UNAVAILABLE`,
    message: `${at(service)} is not available (HTTP ${status})`,
    hint: "It is starting, overloaded or down: look into its log or its status page.",
    retryable: true,
  });
}

export function serverError(service: Service, status: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_SERVER_ERROR`,
    message: `${at(service)} failed (HTTP ${status})`,
    hint: "Look into the service's log.",
  });
}

export function promptRejected(service: Service, status: number): BlfError {
  const advice = service.prefix === "VLLM" ? " If it refuses every prompt, set vllm.send_top_k to false." : "";
  return new BlfError({
    code: `${service.prefix}_PROMPT_REJECTED`,
    message: `${at(service)} rejects the request (HTTP ${status})`,
    hint: `The service cannot work with this prompt.${advice}`,
  });
}

export function promptTooLong(service: Service): BlfError {
  return new BlfError({
    code: "MODEL_PROMPT_TOO_LONG",
    message: `The prompt and the longest answer do not fit into the model's context on ${service.name}`,
    hint: "Shorten the prompt, or serve the model with a longer context or a lower max_tokens.",
  });
}

/** @throws BlfError `MODEL_PROMPT_EMPTY`, `MODEL_PROMPT_INVALID` */
export function checkPrompt(prompt: string): void {
  if (prompt === "")
    throw new BlfError({
      code: "MODEL_PROMPT_EMPTY",
      message: "The prompt is empty",
      hint: "Send a prompt with at least one character.",
    });
  if (!prompt.isWellFormed())
    throw new BlfError({
      code: "MODEL_PROMPT_INVALID",
      message: "The prompt has half of a character in it, and cannot be sent as UTF-8",
      hint: "Send well-formed Unicode.",
    });
}
