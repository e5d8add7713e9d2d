/** The section "Sessions": passwords, access tokens and the secrets behind them. */
import { key, secret, section } from './key.ts';
import { boolean, duration, integer, oneOf, orNull, text } from './kinds.ts';

export const sessionsSection = section('Sessions', 'Passwords, access tokens and the secrets behind them.', {
  sessionLifetimeMs: key(
    'session_lifetime',
    orNull(duration),
    null,
    'Everybody is logged out after this time; null: never.',
  ),
  refreshableAccessTokenLifetimeMs: key(
    'refreshable_access_token_lifetime',
    orNull(duration),
    300_000,
    'Lifetime of access tokens that come with a refresh token.',
  ),
  refreshTokenLifetimeMs: key(
    'refresh_token_lifetime',
    orNull(duration),
    null,
    'How long a refresh token may lie unused; null: for ever.',
  ),
  nonrefreshableAccessTokenLifetimeMs: key(
    'nonrefreshable_access_token_lifetime',
    orNull(duration),
    null,
    'Lifetime of access tokens without a refresh token; null: for ever.',
  ),
  uiAuthSessionTimeoutMs: key(
    'ui_auth.session_timeout',
    duration,
    0,
    'For how long one confirmation of identity serves several actions.',
  ),
  loginViaExistingSession: key(
    'login_via_existing_session.enabled',
    boolean,
    false,
    'Devices may log further devices in.',
  ),
  loginViaExistingSessionAsks: key(
    'login_via_existing_session.require_ui_auth',
    boolean,
    true,
    'Ask for the password before.',
  ),
  loginTokenLifetimeMs: key(
    'login_via_existing_session.token_timeout',
    duration,
    300_000,
    'Lifetime of the login token.',
  ),
  passwordLogin: key(
    'password_config.enabled',
    oneOf(true, false, 'only_for_reauth'),
    true,
    'Login by password; "only_for_reauth" keeps it for confirmations only.',
  ),
  isLocalPasswordDatabaseEnabled: key(
    'password_config.localdb_enabled',
    boolean,
    true,
    'Check passwords against our own database.',
  ),
  passwordPepper: key(
    'password_config.pepper',
    orNull(text),
    null,
    'Added to each password before hashing. Passwords die when it changes.',
  ),
  isPasswordPolicyEnabled: key(
    'password_config.policy.enabled',
    boolean,
    false,
    'Refuse passwords that break the rules below.',
  ),
  passwordLengthMin: key('password_config.policy.minimum_length', integer(), 0, 'Fewest characters.'),
  passwordNeedsDigit: key('password_config.policy.require_digit', boolean, false, 'At least one digit.'),
  passwordNeedsSymbol: key('password_config.policy.require_symbol', boolean, false, 'At least one symbol.'),
  passwordNeedsLowercase: key(
    'password_config.policy.require_lowercase',
    boolean,
    false,
    'At least one lower-case letter.',
  ),
  passwordNeedsUppercase: key(
    'password_config.policy.require_uppercase',
    boolean,
    false,
    'At least one upper-case letter.',
  ),
  bcryptRounds: key('bcrypt_rounds', integer(4, 31), 12, 'Cost of hashing a password.'),
  macaroonSecretKey: secret(
    'macaroon_secret_key',
    'Signs guest and login tokens; falls back to registration_shared_secret, then to the signing key.',
  ),
  formSecret: secret('form_secret', 'Signs links in forms and mails; a fresh one at each start where it is not set.'),
});
