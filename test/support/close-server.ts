import { once } from "node:events";
import type { Server } from "node:http";

/** Cuts all connections of a server; resolves when it listens no more, at once where it did not. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
