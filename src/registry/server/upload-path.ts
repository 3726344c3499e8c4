/** Tells whether a decoded path is that of uploads: to begin one, or of one that is under way. */
export function isUploadPath(path: string): boolean {
  return /\/blobs\/uploads(?:\/[^/]*)?$/.test(path);
}
