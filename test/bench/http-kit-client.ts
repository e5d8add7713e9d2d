/** The other end of the bench of the endpoint kit: sends one request again and again over some connections. */
import { connect } from 'node:net';

const [, , port = '0', request = '', warmUps = '0', count = '0', connections = '1'] = process.argv;
const text = Buffer.from(request, 'base64');

function sendAll(total: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = total;
    let open = 0;
    for (let index = 0; index < Number(connections); index++) {
      const socket = connect(Number(port), '127.0.0.1');
      open++;
      socket.setNoDelay();
      const next = (): void => {
        if (left-- > 0) socket.write(text);
        else {
          socket.destroy();
          if (--open === 0) resolve();
        }
      };
      socket.on('connect', next);
      // The answers are small: each comes as one chunk.
      socket.on('data', (chunk) => {
        if (chunk.toString('latin1', 9, 12) === '200') next();
        else reject(new Error(chunk.toString()));
      });
      socket.on('error', reject);
    }
  });
}

await sendAll(Number(warmUps));
process.send?.('start');
await sendAll(Number(count));
process.send?.('end');
