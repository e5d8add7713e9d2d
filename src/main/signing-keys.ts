/** The keys with which this server signs, out of their files. */
import { readPublicKey } from '../core/server-keys.ts';
import { parseSigningKeys, type SigningKey } from '../core/signing.ts';
import { readText, StartError } from './start-error.ts';

/**
 * All keys of a file; there is one at least.
 *
 * @throws StartError where there is none, or one that anybody can sign with
 */
export function readSigningKeys(path: string): [SigningKey, ...SigningKey[]] {
  const text = readText(path, 'signing key', 'signing_key_path; --generate-keys makes one');
  const [first, ...further] = parseSigningKeys(text);
  if (first === undefined) throw new StartError(`There is no key in the signing key file ${path}.`);
  for (const { keyId, publicKey } of [first, ...further]) {
    if (readPublicKey(publicKey) !== null) continue;
    throw new StartError(
      `The key ${keyId} in ${path} was published: anybody can sign with it (CVE-2026-24044). Replace it by a new one ` +
        '(--generate-keys makes one), and do not list it under old_signing_keys.',
    );
  }
  return [first, ...further];
}
