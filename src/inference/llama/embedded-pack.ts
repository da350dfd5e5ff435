/**
 * Where the pack of native libraries lies inside the executable. The build replaces this module by one that embeds the file; in a
 * checkout there is no pack and the libraries are taken from node_modules.
 */
export const embeddedPackPath: string | undefined = undefined;
