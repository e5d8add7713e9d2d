/** The path of a request as it may be logged (threat D19). What any text may hold is `kit/redact`. */

/** Query parameters that stand for a person: tokens, and the codes and signatures that become one. */
const SECRET_PARAMETERS =
  'access_token|refresh_token|loginToken|login_token|token|code|state|hs_token|client_secret|sig';
const IN_QUERY = new RegExp(`([?&;](?:${SECRET_PARAMETERS})=)[^&;#\\s"']*`, 'gi');
const PATH_LENGTH_MAX = 2000;

/** The path and query of a request with the values of secret parameters replaced, cut to 2,000 characters. */
export function redactUrl(url: string): string {
  const queryAt = url.indexOf('?');
  if (queryAt === -1) return cut(url);
  const query = url.slice(queryAt);
  // Letters in parameter names may come percent-encoded: `acc%65ss_token=` is the same parameter.
  const plain = query.includes('%') ? query.replace(/([?&;])([^=&;]*)/g, decodeName) : query;
  return cut(url.slice(0, queryAt) + plain.replace(IN_QUERY, '$1<redacted>'));
}

function cut(text: string): string {
  return text.length > PATH_LENGTH_MAX ? `${text.slice(0, PATH_LENGTH_MAX)}…` : text;
}

function decodeName(whole: string, start: string, name: string): string {
  try {
    const decoded = decodeURIComponent(name);
    return /^\w+$/.test(decoded) ? start + decoded : whole;
  } catch {
    return whole;
  }
}
