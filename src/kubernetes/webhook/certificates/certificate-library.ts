import type * as X509 from "@peculiar/x509";

/**
 * Loads the library that makes certificates: 110 ms and 22 MB, so only where one is made. The container
 * that it registers its parts with asks for functions of a proposal of old (Reflect metadata), of which
 * these three are enough.
 */
export async function loadX509(): Promise<typeof X509> {
  if (!("getMetadata" in Reflect)) Object.assign(Reflect, createMetadata());
  return import("@peculiar/x509");
}

function createMetadata() {
  const known = new WeakMap<object, Map<unknown, unknown>>();
  const getOwnMetadata = (key: unknown, target: object) => known.get(target)?.get(key);
  const getMetadata = (key: unknown, target: object): unknown => {
    const own = getOwnMetadata(key, target);
    const above: unknown = Object.getPrototypeOf(target);
    if (own !== undefined || (typeof above !== "object" && typeof above !== "function")) return own;
    return above === null ? own : getMetadata(key, above);
  };
  const defineMetadata = (key: unknown, value: unknown, target: object) => {
    const of = known.get(target) ?? new Map<unknown, unknown>();
    known.set(target, of.set(key, value));
  };
  return { getOwnMetadata, getMetadata, defineMetadata };
}
