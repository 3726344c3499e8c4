import { isModelError, ModelError } from "../../core/errors.ts";
import { type Reference, repositoryName } from "../../core/reference.ts";
import {
  type CallOptions,
  type Connection,
  type ConnectionOptions,
  connect,
  emptyConnection,
} from "../connection.ts";

/** One of the two repositories of a copy, whose every failure says which one it is. */
export interface Side extends AsyncDisposable {
  readonly role: "source" | "target";
  readonly reference: Reference;
  readonly connection: Connection;
  readonly repository: Connection["repository"];
  /** Runs `work`; a ModelError out of it names this side and its host. */
  on<T>(work: () => Promise<T>): Promise<T>;
  /** The same error, naming this side; what is no ModelError, or names a side already, as it is. */
  blame(error: unknown): unknown;
}

/** A failure of one side of a copy. */
class SideError extends ModelError {}

/** Opens the repository that is read. Rejects like `connect`, naming the source. */
export async function openSource(
  reference: Reference,
  options: CallOptions & ConnectionOptions,
): Promise<Side> {
  return openSide("source", reference, () => connect(reference, { ...options, writes: false }));
}

/** Opens the repository that is written to; a dry run does not make a folder that is not there. */
export async function openTarget(
  reference: Reference,
  options: CallOptions & ConnectionOptions & { readonly dryRun: boolean },
): Promise<Side> {
  return openSide("target", reference, async () => {
    try {
      return await connect(reference, { ...options, writes: !options.dryRun });
    } catch (error) {
      const isMissing = reference.kind === "layout" && isModelError(error, "NOT_FOUND");
      if (!options.dryRun || !isMissing) throw error;
      return emptyConnection(repositoryName(reference));
    }
  });
}

async function openSide(
  role: Side["role"],
  reference: Reference,
  open: () => Promise<Connection>,
): Promise<Side> {
  const place = reference.kind === "registry" ? reference.host : repositoryName(reference);
  const blame = (error: unknown) => {
    if (!isModelError(error) || error instanceof SideError || error.code === "CANCELLED")
      return error;
    const named = error.message.includes(place) ? role : `${role} ${place}`;
    const { code } = error;
    const flag = role === "source" ? "from" : "to";
    const ownLogin = `for the ${role} alone: --${flag}-username NAME --${flag}-password-stdin`;
    const isDenied = code === "UNAUTHORIZED" && reference.kind === "registry";
    const hint = isDenied ? [error.hint ?? [], ownLogin].flat().join("\n") : error.hint;
    return new SideError(code, `${named}: ${error.message}`, { hint, cause: error });
  };
  const on = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw blame(error);
    }
  };
  const connection = await on(open);
  const { repository } = connection;
  return {
    role,
    reference,
    connection,
    repository,
    on,
    blame,
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}
