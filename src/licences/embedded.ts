/**
 * The licences of everything in the executable, as `encodeLicences` gives them. The build replaces this module by one that embeds them;
 * in a checkout they are gathered when they are asked for.
 */
export async function embeddedLicences(): Promise<Uint8Array<ArrayBuffer>> {
  const gatherer = new URL("../../native/licences/checkout.ts", import.meta.url).href;
  const { gatherInCheckout } = (await import(gatherer)) as { gatherInCheckout(): Promise<Uint8Array<ArrayBuffer>> };
  return gatherInCheckout();
}
