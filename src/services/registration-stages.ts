/**
 * What whoever registers must do, by what the configuration asks for.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration
 */
import { CAPTCHA_STAGE } from './captcha.ts';
import type { Flows, Stage } from './user-interactive-auth.ts';

export const TOKEN_STAGE = 'm.login.registration_token';
export const TERMS_STAGE = 'm.login.terms';

/** The terms that hold now. */
export type Terms = { readonly version: string; readonly name: string; readonly url: string };

/** The flows of a registration: all that is asked for, in Synapse's order; where nothing is, that somebody asks on purpose. */
export function registrationFlows(asks: {
  readonly forToken: boolean;
  readonly forCaptcha: boolean;
  readonly forTerms: boolean;
}): Flows {
  const stages = [
    ...(asks.forToken ? [TOKEN_STAGE] : []),
    ...(asks.forCaptcha ? [CAPTCHA_STAGE] : []),
    ...(asks.forTerms ? [TERMS_STAGE] : []),
  ];
  return [stages.length === 0 ? ['m.login.dummy'] : stages];
}

/** The stage `m.login.terms`: to do it is to agree. Notes the version. */
export const termsStage = ({ version, name, url }: Terms): Stage => ({
  params: { policies: { privacy_policy: { version, en: { name, url } } } },
  check: async () => version,
});
