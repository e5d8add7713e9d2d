/** `myelin keys export`: the public half of the signing key. */
import { readFileSync } from 'node:fs';
import { loadConfig } from '../config/config.ts';
import { parseSigningKeys } from '../core/signing.ts';
import { systemClock } from '../kit/clock.ts';
import { Failure } from './failure.ts';
import { say } from './terminal.ts';

/** Prints each key of the key file: its ID and public half, or as an entry of `old_signing_keys` that expires now. */
export function exportKeys(paths: readonly string[], isOld: boolean): void {
  const path = loadConfig(paths).config.keys.signingKeyPath;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new Failure(`The signing key ${path} cannot be read; --generate-keys makes one where there is none.`);
  }
  const keys = parseSigningKeys(text);
  if (isOld) say('old_signing_keys:');
  for (const key of keys) {
    if (isOld) say(`  "${key.keyId}": { key: "${key.publicKey}", expired_ts: ${systemClock().now()} }`);
    else say(`${key.keyId} ${key.publicKey}`);
  }
}
