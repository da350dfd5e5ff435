/** One prompt for one model. */
export type BackendRequest = {
  /** One of the ids in `models`. */
  modelId: string;
  /** The decrypted prompt. It must not reach a log, a file or another machine that the requester does not know of. */
  prompt: string;
};

export type GenerateOptions = {
  /**
   * Aborted when the job's deadline has passed or the node stops. A backend that goes on for two seconds more is killed, and started
   * again for the next job.
   */
  signal: AbortSignal;
  /** To be called with each piece of text as it is made, if the backend can: it shows progress. What counts is the answer. */
  onToken: (text: string) => void;
};

/** An answer with what is known about it. Tokens that are not counted are taken to be words. */
export type BackendAnswer = {
  text: string;
  promptTokens?: number;
  outputTokens?: number;
  /** `length`: the answer was cut at a limit. `stop` by default. */
  finishReason?: "stop" | "length";
};

export type ProbeOptions = {
  /** Aborted after ten seconds. */
  signal: AbortSignal;
};

/** A backend: the module's default export, or its export named `backend`. */
export type Backend = {
  /** 1 to 40 letters, digits, points or dashes; not the name of a backend that is built in. */
  name: string;
  /** Exact model ids that it answers for, as the network knows them. */
  models: readonly string[];
  /**
   * Answers a prompt. Nodes of a quorum must give the same text byte for byte, so it must not depend on chance, on time or on earlier
   * prompts. An error fails the job; what it says is not logged, since it may quote the prompt.
   */
  generate(request: BackendRequest, options: GenerateOptions): string | BackendAnswer | Promise<string | BackendAnswer>;
  /** Asked before the node offers the models, and again while it is unhealthy. Throws, or gives false, while it cannot answer. */
  probe?(options: ProbeOptions): unknown;
};

/** Gives back the backend that it gets; it is there for its types. */
export type DefineBackend = <Definition extends Backend>(backend: Definition) => Definition;
