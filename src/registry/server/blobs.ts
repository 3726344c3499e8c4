import { ProtocolError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { requireDigest } from "./references.ts";
import { requireRepository } from "./repositories.ts";
import { sendBlob } from "./send-blob.ts";
import { sendFile } from "./send-file.ts";

/** GET and HEAD of a blob. */
export async function getBlob(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const digest = requireDigest(reference);
  const layout = await requireRepository(state.repositories, repository);
  await using blob = await layout.openBlob(digest);
  if (blob === undefined)
    throw new ProtocolError(404, {
      code: "BLOB_UNKNOWN",
      message: "no such blob in the repository",
      detail: { digest },
    });
  const { file, size } = blob;
  await sendBlob(exchange, digest, {
    size,
    send: (response, slice) => sendFile(response, file, slice),
  });
}
