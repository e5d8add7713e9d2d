/** The section "Email". */
import { key, section } from './key.ts';
import { boolean, duration, integer, mapOf, orNull, text } from './kinds.ts';

export const emailSection = section('Email', 'Mails that this server sends.', {
  smtpHost: key('email.smtp_host', orNull(text), null, 'Mail server; null: no mail is sent.'),
  smtpPort: key('email.smtp_port', orNull(integer(1, 65535)), null, 'Its port; null: 25, or 465 with force_tls.'),
  smtpUser: key('email.smtp_user', orNull(text), null, 'User name there.'),
  smtpPassword: key('email.smtp_pass', orNull(text), null, 'Password there.'),
  forceTls: key('email.force_tls', boolean, false, 'Speak TLS from the first byte.'),
  requireTransportSecurity: key('email.require_transport_security', boolean, false, 'Refuse to send without TLS.'),
  enableTls: key('email.enable_tls', boolean, true, 'Use STARTTLS where it is offered.'),
  tlsName: key('email.tlsname', orNull(text), null, 'Name in the certificate; null: smtp_host.'),
  from: key('email.notif_from', orNull(text), null, 'Sender; %(app)s stands for app_name.'),
  appName: key('email.app_name', text, 'Matrix', 'Name of the service in mails.'),
  enableNotifications: key('email.enable_notifs', boolean, false, 'Mail people about missed messages.'),
  notifyNewUsers: key('email.notif_for_new_users', boolean, true, 'Turn that on for new accounts.'),
  notificationDelayMs: key('email.notif_delay_before_mail', duration, 600_000, 'How long to wait before such a mail.'),
  clientBaseUrl: key('email.client_base_url', text, 'https://matrix.to', 'Client that links lead to.'),
  inviteClientLocation: key('email.invite_client_location', orNull(text), null, 'Client that invites lead to.'),
  validationTokenLifetimeMs: key(
    'email.validation_token_lifetime',
    duration,
    3_600_000,
    'For how long a link is valid.',
  ),
  subjects: key('email.subjects', mapOf(text), {}, 'Subjects of mails.'),
});
