/** One prompt for one model. */
export type GenerateRequest = {
  modelId: string;
  prompt: string;
};

export type GenerateOptions = {
  signal: AbortSignal;
  /** Called with each piece of text as it is generated. */
  onToken?: (text: string) => void;
};

export type Generation = {
  text: string;
  promptTokens: number;
  outputTokens: number;
  finishReason: "stop" | "length";
  /** Nodes with an equal class give an equal text (DESIGN.md section 4). */
  determinismClass: string;
  /** Time spent in the model, milliseconds. */
  ms: number;
};

/** What a backend finds when it looks at an answer of its own again. */
export type OutputCheck = {
  /** Whether the model answers the prompt with exactly this text. */
  agrees: boolean;
  /** What decided: one pass over the answer, or decoding it again. */
  method: "prefill" | "decoding";
  /** Time spent in the model, milliseconds. */
  ms: number;
};

export type BackendHealth = {
  status: "healthy" | "degraded" | "unhealthy";
  /** One line for the operator, empty when healthy. */
  detail: string;
};

/** Something that turns prompts into text: llama.cpp in this machine, or a service elsewhere. */
export type Backend = {
  name: string;
  /** Exact model ids that this backend answers for. */
  models(): string[];
  /** How many generations may run side by side. */
  slots: number;
  /** The class that answers of this model will carry, or undefined until the model was loaded once. */
  determinismClass(modelId: string): string | undefined;
  /** Whether a prompt of so many bytes can fit into the model's context; left out where the service alone can tell. Throws as `generate` does. */
  mayFit?(modelId: string, promptBytes: number): boolean;
  /** Gets the model ready so that the next `generate` starts at once. */
  warm(modelId: string, signal: AbortSignal): Promise<void>;
  /**
   * @throws BlfError `MODEL_*`, `ENGINE_*` or the backend's own; the signal's reason when aborted.
   */
  generate(request: GenerateRequest, options: GenerateOptions): Promise<Generation>;
  /**
   * Whether the model answers the prompt with exactly this text; absent where nothing but a second answer could tell.
   * @throws as `generate` does
   */
  verify?(request: GenerateRequest, output: string, options: { signal: AbortSignal }): Promise<OutputCheck>;
  health(): BackendHealth;
  close(): Promise<void>;
};
