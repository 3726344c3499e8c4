import { ModelError, systemCode } from "../core/errors.ts";
import { quotePath } from "../core/model-path.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist",
  ENOTDIR: "it does not exist",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ELOOP: "its links go in a circle",
  EIO: "the disk reports an error",
};

/** The SOURCE_UNREADABLE error for a system error met at `path`; anything else is passed through. */
export function unreadable(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined || error instanceof ModelError) return error;
  const hint = code === "EACCES" ? "make it readable for this user, or --exclude it" : undefined;
  return new ModelError(
    "SOURCE_UNREADABLE",
    `cannot read source ${quotePath(path)}: ${reasons[code] ?? code}`,
    { cause: error, hint },
  );
}
