/** Contradictions between keys, each right by itself: they stop the start. */
import type { ConfigProblem, GivenMap } from './given.ts';
import { findAt } from './kinds.ts';
import type { Config } from './sections.ts';

/** Everything that contradicts itself in a configuration. */
export function contradictions(config: Config, root: GivenMap): ConfigProblem[] {
  const found: ConfigProblem[] = [];
  const say = (path: string, message: string): void => {
    const place = findAt(root, path)?.place ?? { ...root.place, path };
    found.push({ place, message });
  };
  const { registration, consent, sessions, media, retention, listeners, tls } = config;

  const isVerified =
    registration.isCaptchaEnabled || registration.requiresToken || registration.requiredThreepids.length > 0;
  if (registration.isOpen && !isVerified && !registration.isOpenWithoutVerification) {
    say(
      'enable_registration',
      'registration would be open to bots: turn on enable_registration_captcha, registration_requires_token or ' +
        'registrations_require_3pid, or confirm it with enable_registration_without_verification: true.',
    );
  }
  if (registration.isCaptchaEnabled && !(registration.recaptchaPublicKey && registration.recaptchaPrivateKey)) {
    say('enable_registration_captcha', 'a captcha needs recaptcha_public_key and recaptcha_private_key.');
  }
  if (registration.isCaptchaEnabled && !isHttpUrl(registration.recaptchaVerifyUrl)) {
    say('recaptcha_siteverify_api', 'must be an address that begins with https:// or http://.');
  }
  if (consent.policyUrl !== null && !isHttpUrl(consent.policyUrl)) {
    say('user_consent.policy_url', 'must be an address that begins with https:// or http://.');
  }
  if (registration.isOpen && consent.isRequiredAtRegistration) {
    const needs = (name: string) => `terms at registration need ${name}.`;
    if (consent.version === null) say('user_consent.require_at_registration', needs('user_consent.version'));
    if (consent.policyUrl === null && consent.templateDir === null) {
      say('user_consent.require_at_registration', needs('user_consent.policy_url or user_consent.template_dir'));
    }
  }
  if (registration.autoJoinRoomPreset !== 'public_chat' && registration.autoJoinLocalpart === null) {
    say(
      'autocreate_auto_join_room_preset',
      'a private room needs auto_join_mxid_localpart: the user that invites into it.',
    );
  }
  const lifetimes = {
    refreshable_access_token_lifetime: sessions.refreshableAccessTokenLifetimeMs,
    refresh_token_lifetime: sessions.refreshTokenLifetimeMs,
    nonrefreshable_access_token_lifetime: sessions.nonrefreshableAccessTokenLifetimeMs,
  };
  for (const [name, lifetimeMs] of Object.entries(lifetimes)) {
    const isGiven = findAt(root, name) !== undefined;
    if (
      sessions.sessionLifetimeMs !== null &&
      isGiven &&
      lifetimeMs !== null &&
      lifetimeMs > sessions.sessionLifetimeMs
    ) {
      say('session_lifetime', `must not be shorter than ${name}.`);
    }
  }
  if (media.urlPreviews && media.urlPreviewBlockedRanges === null) {
    say('url_preview_enabled', 'previews need url_preview_ip_range_blacklist, lest they reach into your own network.');
  }
  if (isAbove(retention.allowedLifetimeMinMs, retention.allowedLifetimeMaxMs)) {
    say('retention.allowed_lifetime_min', 'must not be above retention.allowed_lifetime_max.');
  }
  if (isAbove(retention.defaultLifetimeMinMs, retention.defaultLifetimeMaxMs)) {
    say('retention.default_policy.min_lifetime', 'must not be above retention.default_policy.max_lifetime.');
  }
  if (listeners.some((listener) => listener.tls) && !(tls.certificatePath && tls.privateKeyPath)) {
    say('listeners', 'a listener with tls: true needs tls_certificate_path and tls_private_key_path.');
  }
  if (root.entries.has('databases')) {
    say('databases', 'stores spread over several databases cannot be used; bring them together in one database.');
  }
  return found;
}

function isHttpUrl(text: string): boolean {
  return /^https?:$/.test(URL.parse(text)?.protocol ?? '');
}

function isAbove(low: number | null, high: number | null): boolean {
  return low !== null && high !== null && low > high;
}
