/** The section "Registration": who may make an account, and what new accounts get. */
import { key, secret, section } from './key.ts';
import { boolean, list, object, oneOf, orNull, text } from './kinds.ts';

const medium = oneOf('email', 'msisdn');

export const registrationSection = section('Registration', 'Who may make an account, and what new accounts get.', {
  isOpen: key('enable_registration', boolean, false, 'Let people register themselves.'),
  isOpenWithoutVerification: key(
    'enable_registration_without_verification',
    boolean,
    false,
    'Confirm that nothing (captcha, mail, token) keeps bots from registering.',
  ),
  requiredThreepids: key(
    'registrations_require_3pid',
    list(medium),
    [],
    'Addresses that must be validated at registration.',
  ),
  disableMsisdn: key('disable_msisdn_registration', boolean, false, 'Do not offer phone numbers at registration.'),
  allowedThreepids: key(
    'allowed_local_3pids',
    orNull(
      list(
        object({
          medium: { yaml: 'medium', kind: medium, help: '' },
          pattern: { yaml: 'pattern', kind: text, help: '' },
        }),
      ),
    ),
    null,
    'Patterns of acceptable addresses; null accepts all.',
  ),
  enableThreepidLookup: key('enable_3pid_lookup', boolean, true, 'Look addresses up at identity servers for users.'),
  requiresToken: key('registration_requires_token', boolean, false, 'Ask for a registration token.'),
  tokenBypassesThreepid: key(
    'enable_registration_token_3pid_bypass',
    boolean,
    false,
    'A registration token stands in for the address demanded.',
  ),
  sharedSecret: secret(
    'registration_shared_secret',
    'Who knows it may register users, as register_new_matrix_user does.',
    'made',
  ),
  allowGuests: key('allow_guest_access', boolean, false, 'Let guests in.'),
  mayLocalpartBeginWithUnderscore: key(
    'allow_underscore_prefixed_registration',
    boolean,
    false,
    'Accept user names that begin with an underscore.',
  ),
  inhibitUserInUseError: key('inhibit_user_in_use_error', boolean, false, 'Do not tell whether a name is taken.'),
  inhibitThreepidErrors: key(
    'request_token_inhibit_3pid_errors',
    boolean,
    false,
    'Do not tell whether an address is known.',
  ),
  nextLinkDomains: key(
    'next_link_domain_whitelist',
    orNull(list(text)),
    null,
    'Hosts to which links in mails may lead on.',
  ),
  msisdnDelegate: key(
    'account_threepid_delegates.msisdn',
    orNull(text),
    null,
    'Identity server that sends text messages.',
  ),
  maySetDisplayName: key('enable_set_displayname', boolean, true, 'Users may change their display name.'),
  maySetAvatarUrl: key('enable_set_avatar_url', boolean, true, 'Users may change their avatar.'),
  mayChangeThreepids: key('enable_3pid_changes', boolean, true, 'Users may change their addresses.'),
  autoJoinRooms: key('auto_join_rooms', list(text), [], 'Aliases of rooms that new users join.'),
  autoJoinForGuests: key('auto_join_rooms_for_guests', boolean, true, 'Guests join them too.'),
  autoCreateAutoJoinRooms: key(
    'autocreate_auto_join_rooms',
    boolean,
    true,
    'Make those rooms where they do not exist.',
  ),
  autoJoinRoomsFederated: key('autocreate_auto_join_rooms_federated', boolean, true, 'Let other servers into them.'),
  autoJoinRoomPreset: key(
    'autocreate_auto_join_room_preset',
    oneOf('public_chat', 'private_chat', 'trusted_private_chat'),
    'public_chat',
    'Preset of the rooms made.',
  ),
  autoJoinLocalpart: key(
    'auto_join_mxid_localpart',
    orNull(text),
    null,
    'User that makes those rooms and invites into them.',
  ),
  isCaptchaEnabled: key('enable_registration_captcha', boolean, false, 'Ask for a captcha at registration.'),
  recaptchaPublicKey: secret('recaptcha_public_key', 'The site key of reCAPTCHA.'),
  recaptchaPrivateKey: secret('recaptcha_private_key', 'The secret key of reCAPTCHA.'),
  recaptchaVerifyUrl: key(
    'recaptcha_siteverify_api',
    text,
    'https://www.recaptcha.net/recaptcha/api/siteverify',
    'Where answers to captchas are checked.',
  ),
});
