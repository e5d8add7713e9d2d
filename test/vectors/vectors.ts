/** Reads the specification's test vectors, which are data files beside this one. */
import { readFileSync } from 'node:fs';
import { parseJson } from '../../src/core/json.ts';

/** The parsed vectors of a file. The caller says their shape: they are our own data, not input. */
export function readVectors<T>(name: string): T {
  // Trusted as typed: a vector of another shape fails the test that reads it.
  return parseJson(readFileSync(new URL(`./${name}.json`, import.meta.url))) as unknown as T;
}

export type SigningKeyVector = {
  seed_base64: string;
  server_name: string;
  key_id: string;
  derived: { public_key_base64: string };
};
