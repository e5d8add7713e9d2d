/** The section "Calls": TURN servers and MatrixRTC transports. */
import { key, secret, section } from './key.ts';
import { boolean, duration, list, object, orNull, text } from './kinds.ts';

const transport = object({
  type: { yaml: 'type', kind: text, help: '' },
  livekitServiceUrl: { yaml: 'livekit_service_url', kind: orNull(text), fallback: { value: null }, help: '' },
});

export const turnSection = section(
  'Calls',
  'Servers that carry voice and video where clients cannot reach each other.',
  {
    uris: key('turn_uris', list(text), [], 'Addresses of TURN servers, such as turn:turn.example.org?transport=udp.'),
    sharedSecret: secret('turn_shared_secret', 'The secret that the TURN servers know too.'),
    username: key('turn_username', orNull(text), null, 'Fixed user name, where there is no shared secret.'),
    password: key('turn_password', orNull(text), null, 'Fixed password, where there is no shared secret.'),
    userLifetimeMs: key('turn_user_lifetime', duration, 3_600_000, 'For how long credentials are valid.'),
    allowsGuests: key('turn_allow_guests', boolean, true, 'Guests may use them.'),
    rtcTransports: key('matrix_rtc.transports', list(transport), [], 'MatrixRTC transports told to clients.'),
  },
);
