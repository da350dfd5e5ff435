export type TestPrompt = { name: string; text: string };

/**
 * What the self-test asks. Short prompts hide divergence: kernels that add in another order show it only in prompts of more than
 * some 150 tokens, so two of these are longer, one of them by far.
 */
export const defaultPrompts: TestPrompt[] = [
  { name: "short", text: "Explain in two sentences why the sky is blue." },
  {
    name: "long",
    text: `A village keeps its water in a cistern on the hill. In spring the snow melts and fills it faster than the people can drink;
in summer the goats, the gardens and two hundred guests empty it again. The eldest wrote down, for forty years, how high the water
stood on the first day of every month, who repaired the pipes and what it cost. In the seventh year a crack opened on the northern
side and a third of the water was lost before anybody noticed. In the twentieth year the council bought a pump, which broke twice,
and in the thirty-first a young engineer replaced the clay pipes by steel ones and halved the losses. This year there was little
snow, the guests stayed longer than usual, and the baker asks whether he may take more than his share for the new oven. The council
meets tonight. Three of its members want to ration the water, two want to drill a well, and one says that the numbers in the book
were never right. Write what you would advise them, step by step, with the numbers that you would need to know first.`,
  },
  {
    name: "very long",
    text: [
      "Below is a list of measurements. Say which of them do not fit the others, and why.",
      ...Array.from({ length: 24 }, (_, index) => {
        const hour = String(index).padStart(2, "0");
        return `At ${hour}:00 the northern station measured ${17 + ((index * 7) % 11)} degrees and the southern one ${12 + ((index * 5) % 13)}.`;
      }),
    ].join("\n"),
  },
];

/** Asked between two runs, so that nothing of the answer before can help the one after. Its own answer is not compared. */
export const unrelatedPrompt = "List the days of the week in reverse order, one per line.";
