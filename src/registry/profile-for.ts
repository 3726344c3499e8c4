import { ModelError } from "../core/errors.ts";
import type { ContentLimits } from "../oci/limits.ts";
import { defaultProfile, profiles, type RegistryProfile } from "./profiles.ts";

/**
 * The profile of a registry's host (`host[:port]`), or the one that is given or named. Throws
 * INVALID_ARGUMENT for a name that is none.
 */
export function profileFor(host: string, override?: string | RegistryProfile): RegistryProfile {
  if (typeof override === "object") return override;
  if (override === undefined)
    return profiles.find(({ hosts }) => hosts.some((one) => matches(one, host))) ?? defaultProfile;
  const named = profiles.find(({ name }) => name === override);
  if (named !== undefined) return named;
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(override)} is no registry profile`, {
    hint: `the profiles are ${profiles.map(({ name }) => name).join(", ")}`,
  });
}

/** What a profile says of the size of things. */
export function limitsOf(profile: RegistryProfile): ContentLimits {
  const { name, maxLayers, maxBlobBytes, maxManifestBytes } = profile;
  return {
    source: `profile ${name}`,
    maxLayers: maxLayers?.value,
    maxBlobBytes: maxBlobBytes?.value,
    maxManifestBytes: maxManifestBytes?.value,
  };
}

function matches(pattern: string, host: string): boolean {
  const wanted = pattern.split(".");
  const labels = host.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "").split(".");
  return (
    wanted.length === labels.length &&
    wanted.every((label, at) => (label === "*" ? labels[at] !== "" : label === labels[at]))
  );
}
