import { ModelError } from "../../src/core/errors.ts";

/** What packages can be made for, in Node's words. */
export type Architecture = "x64" | "arm64";

/** The same in the words of others. */
export const architectures: Readonly<
  Record<Architecture, { readonly image: string; readonly debian: string }>
> = {
  x64: { image: "amd64", debian: "amd64" },
  arm64: { image: "arm64", debian: "arm64" },
};

/** Parses the name of an architecture; throws INVALID_ARGUMENT for one that nothing is made for. */
export function parseArchitecture(name: string): Architecture {
  if (name === "x64" || name === "arm64") return name;
  throw new ModelError("INVALID_ARGUMENT", `no package can be made for ${JSON.stringify(name)}`, {
    hint: "there is x64 and arm64",
  });
}
