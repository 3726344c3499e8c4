import { type ErrorCode, ModelError, type ModelErrorOptions } from "../../core/errors.ts";

/** What an API server refused, or could not do. */
export class ApiError extends ModelError {
  /** Of HTTP; 0 where no answer came. */
  readonly status: number;
  /** A word of the API, such as `AlreadyExists` or `Expired`; empty where it said none. */
  readonly reason: string;

  constructor(
    status: number,
    message: string,
    { reason = "", ...options }: ModelErrorOptions & { readonly reason?: string | undefined } = {},
  ) {
    super(codeOf(status), message, options);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
  }
}

/** Tells whether an API server answered with one of these statuses. */
export function isApiError(error: unknown, ...statuses: number[]): error is ApiError {
  return error instanceof ApiError && (statuses.length === 0 || statuses.includes(error.status));
}

/** For `catch`: what is not there (404) is undefined; any other error is thrown on. */
export function absentIfMissing(error: unknown): undefined {
  if (!isApiError(error, 404)) throw error;
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return "UNAUTHORIZED";
  if (status === 403) return "FORBIDDEN";
  if (status === 404) return "NOT_FOUND";
  return status === 0 || status === 429 || status >= 500
    ? "CLUSTER_UNAVAILABLE"
    : "CLUSTER_REFUSED";
}
