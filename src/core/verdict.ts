/** The answer of a protocol rule: allowed, or refused with a reason. A verdict is a value and never thrown. */
export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

export const allow: Verdict = { allowed: true };

export const reject = (reason: string): Verdict => ({ allowed: false, reason });
