/** The section "Consent": the terms that new users agree to. */
import { key, section } from './key.ts';
import { boolean, orNull, text, textOrNumber } from './kinds.ts';

export const consentSection = section('Consent', 'The terms that new users agree to.', {
  version: key('user_consent.version', orNull(textOrNumber), null, 'Version of the policy that holds now.'),
  isRequiredAtRegistration: key(
    'user_consent.require_at_registration',
    boolean,
    false,
    'Nobody registers without agreeing to the policy.',
  ),
  policyName: key('user_consent.policy_name', text, 'Privacy Policy', 'What the policy is called.'),
  policyUrl: key('user_consent.policy_url', orNull(text), null, 'Where people read the policy, on any web server.'),
  templateDir: key(
    'user_consent.template_dir',
    orNull(text),
    null,
    'Directory with the pages of all versions, en/<version>.html, which are served at /_matrix/consent?v=<version>; people read them there where policy_url is not set.',
  ),
});
