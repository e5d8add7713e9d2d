/** Keeps secrets, control characters and endless lines out of logs. */

const REDACTED = '<redacted>';

// Names of fields, query parameters and JSON keys whose values are never logged.
const SECRET_NAME =
  /(?:token|secret|password|passwd|passphrase|pepper|authorization|cookie|private_?key|macaroon|recovery_?key|sig(?:nature)?)$/i;

const PATTERNS: readonly [RegExp, string][] = [
  // Query parameters and forms: access_token=…, loginToken=…, client_secret=…
  [/\b([\w.-]*(?:token|secret|password|macaroon|mac))=[^&\s"'<>]+/gi, `$1=${REDACTED}`],
  // JSON: "password":"…"
  [/("[\w.-]*(?:token|secret|password|private_key|macaroon)"\s*:\s*")(?:[^"\\]|\\.)*"/gi, `$1${REDACTED}"`],
  // Headers.
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, `$1 ${REDACTED}`],
  [/\b(sig=)("?)[\w+/=-]{20,}"?/gi, `$1$2${REDACTED}$2`],
  // Tokens by their shape, as Matrix servers hand them out, wherever they stand.
  [/\b(?:syt|syr|syl|mat|mar|mct|mcr|myt|myr|myl)_[\w.~+/=-]{8,}/g, REDACTED],
  // Credentials in URLs.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s:@]*:[^/\s@]+@/gi, `$1${REDACTED}@`],
];

// One look instead of six: nearly all lines hold nothing of the kind.
const SUSPECT =
  /token|secret|passw|private_key|mac=|macaroon|bearer|basic|sig=|(?:sy[trl]|ma[tr]|mc[tr]|my[trl])_|:\/\//i;

/** Whether a field of this name is secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** The text with everything that looks like a token or a password taken out. */
export function redact(text: string): string {
  if (!SUSPECT.test(text)) return text;
  let out = text;
  for (const [pattern, replacement] of PATTERNS) out = out.replace(pattern, replacement);
  return out;
}

/** The text with control characters (also those that turn the reading direction around) written as escapes. */
export function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\r') return '\\r';
    if (character === '\t') return '\\t';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** The text, cut to `lengthMax` characters with a note on how many are missing. */
export function truncate(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}… (${text.length - lengthMax} more)`;
}
