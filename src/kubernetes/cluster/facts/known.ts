import { isApiError } from "../../api/api-error.ts";

/** What somebody could look at, or why not: what was not seen is neither there nor absent. */
export type Known<T> =
  | { readonly value: T; readonly refused?: undefined }
  | { readonly value?: undefined; readonly refused: string };

/**
 * Reads, and says so where the API server does not let this user (401, 403). What is not there (404) is
 * known to be `undefined`. Other failures reject.
 */
export async function look<T>(read: () => Promise<T>): Promise<Known<T | undefined>> {
  try {
    return { value: await read() };
  } catch (error) {
    if (isApiError(error, 404)) return { value: undefined };
    if (isApiError(error, 401, 403)) return { refused: error.message };
    throw error;
  }
}

/** The same for a collection: one that does not exist has no items. */
export async function lookAtAll<T>(
  read: () => Promise<readonly T[]>,
): Promise<Known<readonly T[]>> {
  const seen = await look(read);
  return seen.refused === undefined ? { value: seen.value ?? [] } : { refused: seen.refused };
}
