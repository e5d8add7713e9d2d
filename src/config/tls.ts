/** The section "TLS": the certificate of listeners with `tls: true`. */
import { key, section } from './key.ts';
import { orNull, text } from './kinds.ts';

export const tlsSection = section('TLS', 'The certificate of listeners with `tls: true`. Read again on HUP.', {
  certificatePath: key('tls_certificate_path', orNull(text), null, 'PEM file with the certificate chain.'),
  privateKeyPath: key('tls_private_key_path', orNull(text), null, 'PEM file with its private key.'),
});
