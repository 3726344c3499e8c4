import type { ContentDigest } from "../../core/digest.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange } from "./exchange.ts";
import { requireContentDigest } from "./references.ts";
import { requireRepository } from "./repositories.ts";
import { sendBlob } from "./send-blob.ts";
import { sendFile } from "./send-file.ts";

/** GET and HEAD of a blob. */
export async function getBlob(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const digest = requireContentDigest(reference);
  const layout = await requireRepository(state.repositories, repository);
  await using blob = await layout.openBlob(digest);
  if (blob === undefined) throw blobUnknown(digest);
  if (exchange.redirects !== undefined && exchange.request.method === "GET")
    return exchange.redirects.answer(exchange);
  const { file, size } = blob;
  await sendBlob(exchange, digest, {
    size,
    hasRanges: state.offers.ranges !== false,
    send: (response, slice) => sendFile(response, file, slice),
  });
}

/** DELETE of a blob; 405 while a manifest needs it. Who reads it at the time reads it to its end. */
export async function deleteBlob(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const digest = requireContentDigest(reference);
  const layout = await requireRepository(state.repositories, repository);
  if (!(await layout.deleteBlob(digest))) throw blobUnknown(digest);
  answerEmpty(exchange, 202);
}

function blobUnknown(digest: ContentDigest): ProtocolError {
  return new ProtocolError(404, {
    code: "BLOB_UNKNOWN",
    message: "no such blob in the repository",
    detail: { digest },
  });
}
