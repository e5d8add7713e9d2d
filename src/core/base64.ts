/**
 * Unpadded base64, standard and URL-safe.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#unpadded-base64
 */

/** Encodes in the standard alphabet without padding. */
export function encodeBase64(bytes: Uint8Array): string {
  const text = bufferOf(bytes).toString('base64');
  const padding = text.indexOf('=');
  return padding < 0 ? text : text.slice(0, padding);
}

/** Encodes in the URL-safe alphabet without padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return bufferOf(bytes).toString('base64url');
}

/** Decodes either alphabet, with or without padding; null for text that is no base64. */
export function decodeBase64(text: string): Uint8Array | null {
  const body = text.endsWith('==') ? text.slice(0, -2) : text.endsWith('=') ? text.slice(0, -1) : text;
  // One character left over holds six bits, which is no byte.
  if (body.length % 4 === 1 || !BASE64.test(body)) return null;
  return Buffer.from(body, 'base64');
}

const BASE64 = /^[A-Za-z0-9+/_-]*$/;

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
