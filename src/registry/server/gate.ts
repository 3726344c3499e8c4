import {
  type AccessRules,
  allForAccounts,
  type Principal,
  type Right,
} from "./accounts/access-rules.ts";
import type { Accounts } from "./accounts/accounts.ts";
import { parseBasicLogin } from "./accounts/basic-login.ts";
import { clientAddress } from "./bounds/client-address.ts";
import type { DiskWatermark } from "./bounds/disk-watermark.ts";
import { createRequestPace } from "./bounds/request-pace.ts";
import type { Incoming } from "./conversation.ts";
import { ProtocolError } from "./errors.ts";
import type { RegistryLimits } from "./limits.ts";
import { isUploadPath } from "./upload-path.ts";

export interface GateOptions {
  /** Without them there is nothing to log in to. */
  readonly accounts?: Accounts | undefined;
  /** Asked at each request. */
  readonly rules?: (() => Promise<AccessRules>) | undefined;
  readonly limits: RegistryLimits;
  readonly watermark: DiskWatermark;
}

/** Whom a request is from, and what they may do. */
interface Caller extends Principal {
  may(right: Right, repository: string): boolean;
}

interface Asked extends Pick<Incoming, "request" | "method"> {
  /** Decoded. */
  readonly path: string;
}

/** What a request passes before a route sees it. */
export interface Gate {
  /** Throws 429 for an address that asks too often. */
  knock(incoming: Pick<Incoming, "request">): void;
  /** Finds out who asks. Throws 429 for who asks too often, 401 for a login that is none. */
  admit(incoming: Incoming): Promise<Caller>;
  /** Throws 401 or 403 for what the caller may not do, 416 or 507 for what is too large to begin. */
  permit(asked: Asked, caller: Caller, repository: string): Promise<void>;
}

export function createGate({ accounts, rules, limits, watermark }: GateOptions): Gate {
  const pace = createRequestPace(limits);
  const standing = allForAccounts(accounts !== undefined);

  const knock: Gate["knock"] = ({ request }) =>
    pace.admitAddress(clientAddress(request.socket.remoteAddress));

  const admit: Gate["admit"] = async ({ request, facts }) => {
    const address = clientAddress(request.socket.remoteAddress);
    const { authorization } = request.headers;
    const user = await identify(accounts, authorization, address);
    facts.user = user;
    pace.admitAsker({ address, user });
    const now = rules === undefined ? standing : await rules();
    if (user === undefined && accounts !== undefined && !now.openToAll) throw unauthorized();
    return { user, may: (right, repository) => now.allows({ user }, right, repository) };
  };

  const permit: Gate["permit"] = async ({ request, method, path }, caller, repository) => {
    if (repository === "") return;
    const isUpload = isUploadPath(path);
    if (!caller.may(rightFor(method, isUpload), repository))
      throw caller.user === undefined && accounts !== undefined ? unauthorized() : denied();
    if (!isUpload || !["POST", "PATCH", "PUT"].includes(method)) return;
    const length = Number(request.headers["content-length"] ?? 0);
    if (method === "PATCH" && length > (limits.maxChunkBytes ?? length))
      throw chunkTooLarge(limits.maxChunkBytes);
    await watermark.admit(length);
  };

  return { knock, admit, permit };
}

/** A login is checked wherever one is sent, even where none is needed. */
async function identify(
  accounts: Accounts | undefined,
  header: string | undefined,
  address: string,
): Promise<string | undefined> {
  if (accounts === undefined || header === undefined) return undefined;
  const login = parseBasicLogin(header);
  if (login === undefined || !(await accounts.verify(login, address))) throw unauthorized();
  return login.username;
}

function rightFor(method: string, isUpload: boolean): Right {
  if (isUpload) return "write";
  if (method === "GET" || method === "HEAD") return "read";
  return method === "DELETE" ? "delete" : "write";
}

function unauthorized(): ProtocolError {
  return new ProtocolError(
    401,
    { code: "UNAUTHORIZED", message: "this registry needs a user name and a password" },
    { "WWW-Authenticate": 'Basic realm="ballast"' },
  );
}

function denied(): ProtocolError {
  return new ProtocolError(403, { code: "DENIED", message: "this account may not do that" });
}

function chunkTooLarge(maxChunkBytes: number | undefined): ProtocolError {
  return new ProtocolError(416, {
    code: "BLOB_UPLOAD_INVALID",
    message: `the chunk is larger than the ${maxChunkBytes} bytes allowed`,
    detail: { maxChunkBytes },
  });
}
