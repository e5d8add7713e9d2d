/**
 * Third-party identifiers: e-mail addresses and phone numbers in the one form that compares.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#3pid-types
 */
import { hash } from 'node:crypto';

const EMAIL = /^[^\s@\0]{1,200}@[^\s@\0]{1,254}$/u;
const MSISDN = /^[0-9]{1,15}$/;

/** An e-mail address in its canonical form, case-folded; null for what is no address. */
export function canonicalEmail(text: string): string | null {
  const address = text.trim();
  if (!EMAIL.test(address) || !address.isWellFormed()) return null;
  // Upper case first gives what lower case alone misses of full case folding: ß and ss become one, final sigma too.
  return address.toUpperCase().toLowerCase().replaceAll('ς', 'σ');
}

/** A phone number as digits of E.164 without a leading +; null for anything else. */
export function canonicalMsisdn(text: string): string | null {
  const digits = text
    .trim()
    .replace(/^\+/, '')
    .replaceAll(/[\s().-]/g, '');
  return MSISDN.test(digits) ? digits : null;
}

/** The hash under which an identity server is asked about an address (Identity Service API, lookup with `sha256`). */
export function lookupHash(address: string, medium: string, pepper: string): string {
  return hash('sha256', `${address} ${medium} ${pepper}`, 'base64url');
}
